"""How different several answers to one question are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from histoxplain._checks import check_images
from histoxplain.metrics.perceptual import perceptual_distance


def mean_pairwise_distance(x: Tensor, distance: Callable[[Tensor, Tensor], Tensor] | None = None) -> float:
    """Mean distance over all pairs of different images: `2 / (M (M - 1)) * sum_{i<j} d(x_i, x_j)`.

    Args:
        x: images `(M, C, H, W)` in `[-1, 1]`.
        distance: of two batches, image by image; `perceptual_distance` by default.

    Returns:
        A number >= 0, in the distance's own units; 0 if there are fewer than two images.

    Example:
        >>> from histoxplain.metrics import l1_distance
        >>> x = torch.tensor([0.0, 0.0, 1.0]).reshape(3, 1, 1, 1)       # distances 0, 1, 1
        >>> round(mean_pairwise_distance(x, l1_distance), 4)
        0.6667
    """
    check_images("x", x)
    if len(x) < 2:
        return 0.0
    first, second = torch.combinations(torch.arange(len(x))).unbind(dim=1)
    with torch.no_grad():
        return (distance or perceptual_distance)(x[first], x[second]).double().mean().item()
