"""How far chance in the choice of images moves a figure: the bootstrap over images.

Efron, *Bootstrap methods: another look at the jackknife*, Annals of Statistics 7, 1979.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from histoxplain._checks import check, check_at_least, check_between

CONFIDENCE, SAMPLES = 0.95, 2000


@dataclass(frozen=True)
class Interval:
    """A figure and the ends of its confidence interval, NaN where one image tells nothing of chance."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def to_dict(self) -> dict[str, float | None]:
        """JSON types only; None for what could not be measured.

        Example:
            >>> Interval(0.5).to_dict()
            {'value': 0.5, 'low': None, 'high': None}
        """
        return {name: value if math.isfinite(value) else None for name, value in vars(self).items()}


def draw_weights(count: int, samples: int = SAMPLES, seed: int = 0) -> Tensor:
    """How often each image is drawn when as many are drawn with replacement: `(samples, count)`, float64.

    Example:
        >>> draw_weights(3, samples=2).sum(1).tolist()
        [3.0, 3.0]
    """
    check_at_least("count", count, 1)
    rng = torch.Generator().manual_seed(seed)
    drawn = torch.randint(count, (samples, count), generator=rng)
    return torch.zeros(samples, count, dtype=torch.float64).scatter_add_(
        1, drawn, torch.ones(samples, count, dtype=torch.float64)
    )


def ratio_interval(
    parts: Tensor, wholes: Tensor | None = None, confidence: float = CONFIDENCE, samples: int = SAMPLES, seed: int = 0
) -> Interval:
    """`sum(parts) / sum(wholes)` over images, and the percentile interval of drawing other images.

    Args:
        parts: what each image contributes, `(N,)`: a sum over its counterfactuals.
        wholes: how many it is a sum of, `(N,)`; one each by default, which gives the mean of `parts`.
        confidence: of the interval, between 0.5 and 0.999.
        samples: how often to draw.
        seed: fixes the draws.

    Returns:
        The interval; its value is NaN where `wholes` are all 0.

    Example:
        >>> ratio_interval(torch.tensor([3.0, 3.0, 3.0]))
        Interval(value=3.0, low=3.0, high=3.0)
    """
    check(parts.ndim == 1 and len(parts) > 0, "parts", "have shape (N,), N at least 1", tuple(parts.shape))
    wholes = torch.ones_like(parts) if wholes is None else wholes
    check(wholes.shape == parts.shape, "wholes", f"have shape {tuple(parts.shape)}", tuple(wholes.shape))
    check_between("confidence", confidence, 0.5, 0.999)
    parts, wholes = parts.double().cpu(), wholes.double().cpu()
    counted = wholes > 0
    parts, wholes = parts[counted], wholes[counted]
    if not len(parts):
        return Interval(math.nan)
    value = float(parts.sum() / wholes.sum())
    if len(parts) == 1:
        return Interval(value)
    weights = draw_weights(len(parts), samples, seed)
    low, high = _ends((weights @ parts) / (weights @ wholes), confidence)
    return Interval(value, low, high)


def share_interval(
    parts: Tensor, wholes: Tensor | None = None, confidence: float = CONFIDENCE, samples: int = SAMPLES, seed: int = 0
) -> Interval:
    """`ratio_interval` of a share from 0 to 1.

    Where all images agree there is nothing to draw, and the bootstrap would claim certainty: there the other end is
    Clopper and Pearson's (Biometrika 26, 1934), `(tail)^(1/N)` for N images.

    Example:
        >>> share_interval(torch.ones(30))
        Interval(value=1.0, low=0.884..., high=1.0)
    """
    found = ratio_interval(parts, wholes, confidence, samples, seed)
    images = len(parts) if wholes is None else int((wholes > 0).sum())
    if found.value not in (0.0, 1.0):
        return found
    far = ((1 - confidence) / 2) ** (1 / images)
    return Interval(1.0, far, 1.0) if found.value else Interval(0.0, 0.0, 1 - far)


def interval_about(value: float, draws: Tensor, confidence: float = CONFIDENCE) -> Interval:
    """The spread of `draws` about `value`.

    For figures that are larger on drawn images than on the images themselves, because drawing repeats some (the Fréchet
    distance): the draws are moved to have their mean at `value`, so that the interval shows chance and not this bias.

    Args:
        value: the figure.
        draws: the figure on drawn images, `(samples,)`.
        confidence: of the interval.

    Example:
        >>> interval_about(1.0, torch.tensor([6.0, 7.0, 8.0]), confidence=0.999).high.__round__(2)
        2.0
    """
    low, high = _ends(draws.double() - draws.double().mean() + value, confidence)
    return Interval(value, low, high)


def _ends(draws: Tensor, confidence: float) -> tuple[float, float]:
    draws = draws[draws.isfinite()]
    if not len(draws):
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    return tuple(torch.quantile(draws, torch.tensor([tail, 1 - tail], dtype=draws.dtype)).tolist())
