"""What counterfactuals change on average over a data set, with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from histoxplain._checks import check, check_at_least, check_between
from histoxplain.explain.morphometry.comparison import LEAST, Comparison
from histoxplain.explain.morphometry.measures import CATALOGUE, Measure, clauses, in_units


@dataclass(frozen=True)
class AverageChange:
    """How one measure changed on average."""

    measure: Measure
    before: float
    """Mean over the images."""
    after: float
    change: float
    """Of the means: relative, or a difference where `measure.points`."""
    low: float
    """Lower end of the confidence interval of `change`; NaN below two images."""
    high: float
    images: int
    """In how many images it could be measured before and after."""

    @property
    def clear(self) -> bool:
        """The interval excludes no change."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, eq=False)
class Averages:
    """The average over images."""

    kind: str
    changes: tuple[AverageChange, ...]
    images: int
    confidence: float
    microns: float | None = None

    def __getitem__(self, name: str) -> AverageChange:
        return next(change for change in self.changes if change.measure.name == name)

    def rows(self) -> list[dict[str, Any]]:
        """The table: one row a measure with name, label, unit, before, after, change, low, high, images and clear."""
        numbers = ("before", "after", "change", "low", "high", "images", "clear")
        return [
            {"name": c.measure.name, "label": c.measure.label, "unit": in_units(c.measure, self.microns)}
            | {name: getattr(c, name) for name in numbers}
            for c in self.changes
        ]

    def sentence(self) -> str:
        """The clear changes of more than 2 % in words, as in "Over 40 images: nuclei 31 % fewer and 18 % smaller"."""
        said = [c for c in self.changes if c.clear and c.measure.said and abs(c.change) > LEAST]
        clear = [(c.measure, c.change) for c in said]
        words = clauses(clear) if clear else "no change above 2 % that chance does not explain"
        return f"Over {self.images} image{'s' * (self.images != 1)}: {words}."

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; None for what could not be measured."""
        numbers = ("before", "after", "change", "low", "high")
        rows = [row | {k: row[k] if math.isfinite(row[k]) else None for k in numbers} for row in self.rows()]
        facts = {"kind": self.kind, "images": self.images, "confidence": self.confidence}
        return facts | {"changes": rows, "sentence": self.sentence()}


def average_changes(
    comparisons: Sequence[Comparison],
    images: Sequence[str] | None = None,
    confidence: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
) -> Averages:
    """Average comparisons over images, with a bootstrap over images (Efron, *Bootstrap methods*, Ann Stat 7, 1979).

    An image stays with its counterfactual when it is drawn. The relative change is that of the means, so that an image
    with two nuclei does not count as much as one with two hundred. Images where a measure is missing before or after
    are left out of that measure, and `images` of it says how many are left.

    Args:
        comparisons: of one kind, as from `compare_explanation`.
        images: which image each comparison is of (`case_id`); those of one image are averaged first. By default each
            is of an image of its own.
        confidence: of the interval, between 0 and 1.
        samples: how often to draw.
        seed: fixes the draws.

    Raises:
        InputError: if there is nothing to average, kinds or scales are mixed, or `images` has another length.
    """
    check(len(comparisons) > 0, "comparisons", "hold at least one", "none")
    kinds = {c.kind for c in comparisons}
    check(len(kinds) == 1, "comparisons", "be of one kind", sorted(kinds), "give `kind` when comparing")
    scales = {c.before.microns for c in comparisons}
    check(len(scales) == 1, "comparisons", "be of one scale", scales)
    names = list(images) if images is not None else [str(i) for i in range(len(comparisons))]
    check(len(names) == len(comparisons), "images", f"name {len(comparisons)} comparisons", len(names))
    check_between("confidence", confidence, 0.5, 0.999)
    check_at_least("samples", samples, 100)
    (kind,), (microns,) = kinds, scales
    rng = np.random.default_rng(seed)
    changes = tuple(average(m, pairs(m.name, comparisons, names), confidence, samples, rng) for m in CATALOGUE[kind])
    return Averages(kind, changes, len(set(names)), confidence, microns)


def pairs(name: str, comparisons: Sequence[Comparison], images: Sequence[str]) -> np.ndarray:
    """Before and after of a measure, `(images, 2)`, without images where one is missing."""
    found: dict[str, list[tuple[float, float]]] = {}
    for image, comparison in zip(images, comparisons):
        pair = comparison[name].before, comparison[name].after
        if np.isfinite(pair).all():
            found.setdefault(image, []).append(pair)
    return np.array([np.mean(values, 0) for values in found.values()]).reshape(-1, 2)


def average(
    measure: Measure, values: np.ndarray, confidence: float, samples: int, rng: np.random.Generator
) -> AverageChange:
    """Mean change of one measure and its percentile interval."""
    if not len(values):
        return AverageChange(measure, *[math.nan] * 5, images=0)
    before, after = values.mean(0).tolist()
    low = high = math.nan
    if len(values) > 1:
        means = values[rng.integers(len(values), size=(samples, len(values)))].mean(1)
        drawn = np.array([measure.change(*pair) for pair in means.tolist()])
        tail = (1 - confidence) / 2
        if np.isfinite(drawn).all():
            low, high = np.quantile(drawn, (tail, 1 - tail)).tolist()
    return AverageChange(measure, before, after, measure.change(before, after), low, high, len(values))
