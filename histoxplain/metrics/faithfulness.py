"""Whether a map tells the truth: what happens to the score as the pixels that it names are hidden or shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from histoxplain._checks import check, check_at_least


@dataclass(frozen=True, eq=False)
class Curve:
    """A score along the way from one image to another."""

    shares: Tensor
    """Of the pixels that were exchanged, `(S + 1,)`, from 0 to 1."""
    scores: Tensor
    """`(S + 1,)`."""

    @property
    def area(self) -> float:
        """The area under the curve: the mean score on the way.

        Example:
            >>> Curve(torch.tensor([0.0, 0.5, 1.0]), torch.tensor([1.0, 0.0, 0.0])).area
            0.25
        """
        return float(torch.trapezoid(self.scores.double(), self.shares.double()))


def deletion_curve(
    score: Callable[[Tensor], Tensor], x: Tensor, map: Tensor, baseline: Tensor, *, steps: int = 32, seed: int = 0
) -> Curve:
    """Hide the pixels that a map calls important, most important first (Petsiuk, Das & Saenko, 2018).

    If the map is right, the score falls at once: the smaller the area, the better the map.

    Args:
        score: images `(N, C, H, W)` to `(N,)`, for instance the probability of the class.
        x: the image, `(C, H, W)`.
        map: its attribution, `(H, W)`; larger is more important.
        baseline: what hidden pixels look like, `(C, H, W)`.
        steps: images on the way; each hides as many more pixels.
        seed: decides among pixels of equal importance, so that their order in the image does not.

    Raises:
        InputError: if the map is not of the size of the image.

    Example:
        >>> x, black = torch.tensor([[[1.0, 0.0]]]), torch.zeros(1, 1, 2)
        >>> first = lambda images: images[:, 0, 0, 0]
        >>> [deletion_curve(first, x, torch.tensor([m]), black, steps=2).area for m in ([1.0, 0.0], [0.0, 1.0])]
        [0.25, 0.75]
    """
    return _exchange(score, x, baseline, map, steps, seed)


def insertion_curve(
    score: Callable[[Tensor], Tensor], x: Tensor, map: Tensor, baseline: Tensor, *, steps: int = 32, seed: int = 0
) -> Curve:
    """Show the pixels that a map calls important, most important first: the larger the area, the better the map.

    Args and what is raised: as for `deletion_curve`.
    """
    return _exchange(score, baseline, x, map, steps, seed)


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How a score falls and rises along the order in which a map names the pixels, and in random order."""

    deletion: Curve
    """The most important pixels hidden first; a small area is good."""
    insertion: Curve
    """The most important pixels shown first; a large area is good."""
    random_deletion: Curve
    """Pixels hidden in random order."""
    random_insertion: Curve
    """Pixels shown in random order."""

    def to_json(self) -> dict[str, float]:
        """The four areas."""
        return {name: round(curve.area, 4) for name, curve in vars(self).items()}


def faithfulness(
    score: Callable[[Tensor], Tensor],
    x: Tensor,
    map: Tensor,
    baseline: Tensor | None = None,
    *,
    steps: int = 32,
    seed: int = 0,
) -> Faithfulness:
    """Deletion and insertion of a map beside those of a random order of the pixels.

    Args and what is raised: as for `deletion_curve`; without a `baseline` hidden pixels show what is left of the image
    at 8 x 8 pixels, which is smooth and of the right colours.
    """
    if baseline is None:
        few = F.adaptive_avg_pool2d(x[None], 8)
        baseline = F.interpolate(few, size=x.shape[1:], mode="bilinear", align_corners=False)[0]
    maps, curves = (map, torch.zeros_like(map)), (deletion_curve, insertion_curve)
    return Faithfulness(*(curve(score, x, one, baseline, steps=steps, seed=seed) for one in maps for curve in curves))


@torch.no_grad()
def _exchange(score: Callable[[Tensor], Tensor], a: Tensor, b: Tensor, map: Tensor, steps: int, seed: int) -> Curve:
    check(map.shape == a.shape[1:] == b.shape[1:], "map", f"be {tuple(a.shape[1:])}, as the image", tuple(map.shape))
    check_at_least("steps", steps, 1)
    place = torch.empty(map.numel(), dtype=torch.long)
    place[ranking(map, seed)] = torch.arange(map.numel())
    shares = torch.arange(steps + 1) / steps
    scores = []
    for some in shares.split(16):
        exchanged = place.reshape(1, 1, *map.shape) < (some[:, None, None, None] * map.numel()).round()
        scores.append(score(torch.where(exchanged.to(a.device), b, a)).float().cpu())
    return Curve(shares, torch.cat(scores))


def ranking(map: Tensor, seed: int = 0) -> Tensor:
    """The pixels from most to least important, as places in the flattened map; equals in random order.

    Example:
        >>> ranking(torch.tensor([[0.1, 0.3], [0.2, 0.0]])).tolist()
        [1, 2, 0, 3]
    """
    flat = map.detach().flatten().cpu()
    shuffled = torch.randperm(len(flat), generator=torch.Generator().manual_seed(seed))
    return shuffled[flat[shuffled].sort(descending=True, stable=True).indices]


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's correlation of two maps: 1 if they order the pixels alike, 0 if they have nothing in common.

    Equal values share their mean rank; a map of one value has nothing in common with any other.

    Args:
        a: a map.
        b: another, of the same shape.

    Raises:
        InputError: if the shapes differ.

    Example:
        >>> rank_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 0.1, 9.0]))
        1.0
    """
    check(a.shape == b.shape, "b", f"have the shape of the other map, {tuple(a.shape)}", tuple(b.shape))
    first, second = (_ranks(map.detach().flatten().cpu()) for map in (a, b))
    size = (first.square().sum() * second.square().sum()).sqrt()
    return round(float((first * second).sum() / size), 12) if size > 0 else 0.0


def _ranks(values: Tensor) -> Tensor:
    """Ranks about their mean, ties at their mean rank."""
    _, place, count = values.unique(return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    return (last - (count - 1) / 2)[place] - (len(values) + 1) / 2
