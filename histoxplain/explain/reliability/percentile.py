"""Where a number stands among those of other images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

RARE = 99.0
"""Percentile from which a number is taken for a sign that the image is of another kind: one in a hundred is there."""


def percentile(value: float, known: Tensor) -> float:
    """The share of known numbers below `value`, in percent; those that equal it count half.

    Args:
        value: the number.
        known: others, `(n,)`, in any order; n at least 1.

    Example:
        >>> percentile(3.0, torch.tensor([1.0, 2.0, 3.0, 4.0]))
        62.5
    """
    below, equal = (known < value).double().mean(), (known == value).double().mean()
    return round(100 * float(below + equal / 2), 2)


def place(value: float, known: Tensor) -> dict[str, Any]:
    """The figures of a check: the number, its percentile, the others' median, and how many they are.

    Example:
        >>> place(9.0, torch.tensor([1.0, 2.0, 3.0]))
        {'value': 9.0, 'percentile': 100.0, 'median': 2.0, 'images': 3}
    """
    median = float(torch.quantile(known.double(), 0.5))
    return {
        "value": round(value, 4),
        "percentile": percentile(value, known),
        "median": round(median, 4),
        "images": len(known),
    }


def in_words(figures: Mapping[str, Any], more: str) -> str:
    """A place in words.

    Args:
        figures: of `place`.
        more: what a larger number means, such as "further away".

    Example:
        >>> in_words({"percentile": 62.5, "images": 400}, "larger")
        'larger than for 62 % of 400 known images'
        >>> in_words({"percentile": 100.0, "images": 400}, "larger")
        'larger than for all 400 known images'
    """
    share, images = figures["percentile"], figures["images"]
    if share >= 100:
        return f"{more} than for all {images} known images"
    if share <= 0:
        return f"less than for all {images} known images"
    digits = 1 if share > RARE else 0
    return f"{more} than for {share:.{digits}f} % of {images} known images"
