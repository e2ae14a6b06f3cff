"""Measurements as a part of the record of an explanation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from histoxplain.explain.morphometry.comparison import compare_explanation
from histoxplain.explain.morphometry.yardstick import SMALLEST_SIDE

if TYPE_CHECKING:
    from histoxplain.explain import Explanation


def with_measurements(explanation: Explanation, microns: float | None = None) -> Explanation:
    """The record with `measurements`: what each counterfactual changed, as `compare_explanation` finds it.

    They are saved and shown with it. Images too small to be measured are left without.

    Args:
        explanation: the record.
        microns: side of a pixel in µm.
    """
    if min(explanation.original.shape[1:]) < SMALLEST_SIDE:
        return explanation
    measured = [comparison.to_dict() for comparison in compare_explanation(explanation, microns=microns)]
    return replace(explanation, measurements=measured)
