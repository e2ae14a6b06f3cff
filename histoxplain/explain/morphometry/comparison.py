"""What changed between two images, as measurements, and whether it is more than the noise of measuring."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from histoxplain._checks import check, check_one_of
from histoxplain.explain.morphometry.measurements import Measurements, measure_image
from histoxplain.explain.morphometry.measures import CATALOGUE, Measure, clauses, in_units
from histoxplain.explain.morphometry.yardstick import SMALLEST_SIDE, Yardstick, yardstick_for

if TYPE_CHECKING:
    from histoxplain.explain import Explanation

UNSURE = 0.08
"""How much stronger or weaker the nuclei of an image may be stained without having changed, as a share."""
LEAST = 0.02
"""Changes below 2 % (or two hundredths) are never spoken of."""


@dataclass(frozen=True)
class Change:
    """How one measure changed."""

    measure: Measure
    before: float
    after: float
    change: float
    """Relative, or a difference where `measure.points`; NaN where there is nothing to compare."""
    noise: float
    """Standard deviation of the change when both images are measured again: mirrored, turned, without a row and a
    column of pixels, and as if nuclei were stained 8 % stronger in one and 8 % weaker in the other. NaN if any of these
    could not be measured."""

    @property
    def clear(self) -> bool:
        """It is larger than twice the noise, and than 2 %."""
        return abs(self.change) > max(2 * self.noise, LEAST) if math.isfinite(self.change + self.noise) else False


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two images, measured by one yardstick."""

    before: Measurements
    after: Measurements
    changes: tuple[Change, ...]
    against: str = "before"
    """What the first image is: "original", "reconstruction" or "before"."""

    @property
    def kind(self) -> str:
        """Either "h&e" or "generic"."""
        return self.before.kind

    def __getitem__(self, name: str) -> Change:
        return next(change for change in self.changes if change.measure.name == name)

    def rows(self) -> list[dict[str, Any]]:
        """The table: one row a measure with name, label, unit, before, after, change, noise and clear."""
        return [
            {"name": c.measure.name, "label": c.measure.label, "unit": in_units(c.measure, self.before.microns)}
            | {"before": c.before, "after": c.after, "change": c.change, "noise": c.noise, "clear": c.clear}
            for c in self.changes
        ]

    def sentence(self) -> str:
        """The clear changes in words, as in "Nuclei 31 % fewer and 18 % smaller", and what could not be measured."""
        clear = [(c.measure, c.change) for c in self.changes if c.clear and c.measure.said]
        words = clauses(clear) if clear else "nothing measured here changed by more than the noise of measuring"
        words = words[0].upper() + words[1:] + "."
        for name, side in (("Before", self.before), ("After", self.after)):
            words += f" {name}: {', '.join(side.notes)}." if side.notes else ""
        return words

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; None for what could not be measured."""
        numbers = ("before", "after", "change", "noise")
        rows = [row | {k: row[k] if math.isfinite(row[k]) else None for k in numbers} for row in self.rows()]
        return {"kind": self.kind, "against": self.against, "changes": rows, "sentence": self.sentence()}


def compare_images(
    before: Tensor,
    after: Tensor,
    kind: str = "auto",
    microns: float | None = None,
    diameter: float | None = None,
) -> Comparison:
    """Measure two images by one yardstick, and how sure every change is.

    Args:
        before: `(C, H, W)` in `[-1, 1]`.
        after: of the same shape.
        kind: "h&e", "generic" or "auto": what `kind_of` says of `before`.
        microns: side of a pixel in µm.
        diameter: of typical nuclei in pixels, if it is known.

    Raises:
        InputError: if the images differ in shape or cannot be measured.

    Example:
        >>> import torch
        >>> grey = torch.linspace(-0.8, 0.0, 32).expand(1, 32, 32)
        >>> change = compare_images(grey, grey + 0.3)["brightness"]
        >>> round(change.before, 3), round(change.after, 3), round(change.change, 3), change.clear
        (0.3, 0.45, 0.5, True)
    """
    return compared(before, [after], kind, microns, diameter)[0]


def compare_explanation(
    explanation: Explanation,
    kind: str = "auto",
    microns: float | None = None,
    diameter: float | None = None,
    against: str = "reference",
) -> list[Comparison]:
    """What each counterfactual changed, as measurements, by one yardstick for all of them.

    Args:
        explanation: the record.
        kind: "h&e", "generic" or "auto": what `kind_of` says of the original.
        microns: side of a pixel in µm.
        diameter: of typical nuclei in pixels, if it is known.
        against: "reference" compares with the reconstruction where there is one, so that what the generator fails to
            redraw does not count as change; "original" always with the original.

    Returns:
        One comparison a counterfactual; `against` of each says what it was compared with.
    """
    check_one_of("against", against, ("reference", "original"))
    e = explanation
    redrawn = against == "reference" and e.reconstruction is not None
    before = e.reference if redrawn else e.original
    name = "reconstruction" if redrawn else "original"
    return compared(before, list(e.counterfactuals), kind, microns, diameter, name) if len(e) else []


def compared(
    before: Tensor,
    after: Sequence[Tensor],
    kind: str,
    microns: float | None,
    diameter: float | None,
    against: str = "before",
) -> list[Comparison]:
    """Every image of `after` against `before`."""
    for x in after:
        check(x.shape == before.shape, "after", f"have shape {tuple(before.shape)}", tuple(x.shape))
    yardstick = yardstick_for([before, *after], kind, diameter)
    first = again(before, yardstick, microns, UNSURE)
    comparisons = []
    for x in after:
        views = again(x, yardstick, microns, -UNSURE)
        changes = tuple(change_of(measure, first, views) for measure in CATALOGUE[yardstick.kind])
        comparisons.append(Comparison(first[0], views[0], changes, against))
    return comparisons


def again(x: Tensor, yardstick: Yardstick, microns: float | None, unsure: float) -> list[Measurements]:
    """The image measured as it is, then as views and by rules that should give the same."""
    views = [x, x.flip(-1), x.transpose(-2, -1), x[:, 1:, 1:] if min(x.shape[1:]) > SMALLEST_SIDE else x]
    rules = [yardstick.stained(strength) for strength in (1, 1 + unsure, 1 - unsure, 1)]
    return [measure_image(view, microns=microns, yardstick=rule) for view, rule in zip(views, rules)]


def change_of(measure: Measure, before: Sequence[Measurements], after: Sequence[Measurements]) -> Change:
    """Change of the first view, and its deviation over all views."""
    name = measure.name
    changes = [measure.change(b[name], a[name]) for b, a in zip(before, after)]
    return Change(measure, before[0][name], after[0][name], changes[0], float(np.std(changes)))
