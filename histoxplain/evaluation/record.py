"""`Evaluation`, the record of how good a method was on a data set, and what its figures are called."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from histoxplain._atomic import replacing
from histoxplain._checks import InputError, check_exists
from histoxplain.metrics import Interval


@dataclass(frozen=True)
class Figure:
    """What a figure is called, and which way it should go."""

    name: str
    label: str
    better: str
    """"higher", "lower", or "" where neither is."""
    share: bool = False
    """It lies in [0, 1]."""


FIGURES = (
    Figure("flip_rate", "classifier flips (saved image)", "higher", True),
    Figure("oracle_flip_rate", "independent oracle agrees", "higher", True),
    Figure("stability", "flip survives JPEG and a 1-pixel shift", "higher", True),
    Figure("minimality", "share of the change that is needed", "higher", True),
    Figure("l1", "change of pixels, L1", "lower"),
    Figure("perceptual", "perceptual change", "lower"),
    Figure("sparsity", "pixels that stay as they are", "higher", True),
    Figure("diversity", "perceptual distance between answers", "higher"),
    Figure("fid", "Fréchet distance to real target images", "lower"),
    Figure("kid", "kernel distance to real target images", "lower"),
    Figure("composition_l1", "null edit (reconstruction), L1", "lower"),
    Figure("composition_perceptual", "null edit, perceptual", "lower"),
    Figure("composition_kept", "null edit keeps the class", "higher", True),
    Figure("cycle_error", "translated there and back, L1", "lower"),
    Figure("identity_error", "translated into its own class, L1", "lower"),
    Figure("pointing_game", "largest change lies in the true area", "higher", True),
    Figure("overlap", "best overlap (IoU) with the true area", "higher", True),
    Figure("outside_share", "change outside the true area", "lower", True),
    Figure("excess", "size of the change, true one = 1", ""),
    Figure("causal_direction", "known causes move the right way", "higher", True),
    Figure("causal_share", "known causes that clearly move", "higher", True),
    Figure("seconds_per_image", "seconds an image", "lower"),
)
"""All that is measured, in the order of tables."""
BY_NAME = {figure.name: figure for figure in FIGURES}


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """How good a method was on a data set."""

    method: str
    data: str
    bundle: str
    images: int
    count: int
    """Counterfactuals asked for an image."""
    threshold: float
    confidence: float
    """Of all intervals, which are of drawing other images (bootstrap)."""
    figures: Mapping[str, Interval]
    """By name; see `FIGURES`. What could not be measured is not there."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """In what it was measured: features, their resizing, number of real images, options of the method."""
    pairs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """For "source to target": "images", and how many have a "valid" first answer that also convinces the "oracle"."""
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """For "source to target": what changed on average in the pathologist's units, as `Averages.to_dict`."""
    factors: Sequence[Mapping[str, Any]] = ()
    """Of synthetic tissue: for every known cause, how it should have moved and how it did."""
    masks: Mapping[str, Any] = field(default_factory=dict)
    """How well masks agree with true ones, as `MaskEvaluation.to_dict`; empty where that was not asked."""
    cases: Sequence[Mapping[str, Any]] = ()
    """Image by image."""

    def __getitem__(self, name: str) -> float | None:
        """The value of a figure; None where it was not measured."""
        found = self.figures.get(name)
        return None if found is None or not math.isfinite(found.value) else found.value

    def __repr__(self) -> str:
        said = {"flips": "flip_rate", "oracle": "oracle_flip_rate"}
        shown = ", ".join(f"{word} {self[name]:.2f}" for word, name in said.items() if self[name] is not None)
        return f"Evaluation({self.method!r} on {self.data!r}, {self.images} images: {shown})"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.table())}</pre>"

    def table(self) -> str:
        """The figures as readable text."""
        from histoxplain.evaluation.tables import evaluation_table

        return evaluation_table(self)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only: every figure as a plain number, None where it was not measured, and its interval."""
        values = {figure.name: self[figure.name] for figure in FIGURES}
        return {
            "method": self.method,
            "data": self.data,
            "bundle": self.bundle,
            "images": self.images,
            **values,
            **self.facts,
            "count": self.count,
            "threshold": self.threshold,
            "confidence": self.confidence,
            "intervals": {f.name: self.figures[f.name].to_dict() for f in FIGURES if self[f.name] is not None},
            "pairs": {name: dict(pair) for name, pair in self.pairs.items()},
            "changes": {name: dict(change) for name, change in self.changes.items()},
            "factors": [dict(row) for row in self.factors],
            **({"masks": dict(self.masks)} if self.masks else {}),
            "cases": [dict(row) for row in self.cases],
        }

    def save(self, path: str | Path) -> Path:
        """Write a JSON file, which appears whole or not at all."""
        with replacing(path) as part:
            part.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Evaluation:
        """Read what `save` (or `histoxplain evaluate`) wrote.

        Raises:
            InputError: if the file holds something else.
        """
        path = check_exists("evaluation", path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            intervals = content.pop("intervals")
            known = {name: content.pop(name) for name in cls.__dataclass_fields__ if name in content}
            facts = {name: value for name, value in content.items() if name not in BY_NAME}
            figures = {name: _interval(**ends) for name, ends in intervals.items()}
            return cls(**known, figures=figures, facts=facts)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"`evaluation` must be a JSON file of `histoxplain evaluate`, got {path}; measure again."
            raise InputError(message) from error


def _interval(value: float, low: float | None, high: float | None) -> Interval:
    return Interval(value, *(math.nan if end is None else end for end in (low, high)))
