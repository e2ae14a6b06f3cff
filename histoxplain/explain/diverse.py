"""Several different explanations of one image, and how different they are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def pairwise_distance(x: Tensor) -> Tensor:
    """How different images look, coarse structure and fine counted alike.

    The mean absolute difference in parts of the full range, averaged over the image as it is and shrunk 4 and 16 times:
    shifted nuclei alone do not make two images different, another colour or architecture does.

    Args:
        x: images in `[-1, 1]`, `(M, C, H, W)`.

    Returns:
        Distances in `[0, 1]`, `(M, M)`, zero on the diagonal.

    Example:
        >>> pairwise_distance(torch.stack([-torch.ones(3, 32, 32), torch.ones(3, 32, 32)]))[0, 1].item()
        1.0
    """
    total = torch.zeros(len(x), len(x))
    scales = [k for k in (1, 4, 16) if k <= min(x.shape[-2:])]
    for k in scales:
        small = F.avg_pool2d(x.float().cpu(), k).flatten(1)
        total += torch.cdist(small, small, p=1) / small.shape[1] / 2 / len(scales)
    return total


def mean_pairwise_distance(x: Tensor) -> float:
    """Mean of `pairwise_distance` over all pairs of different images; 0 for fewer than two.

    Example:
        >>> mean_pairwise_distance(torch.zeros(1, 3, 8, 8))
        0.0
    """
    count = len(x)
    return float(pairwise_distance(x).sum() / (count * (count - 1))) if count > 1 else 0.0


def select_diverse(x: Tensor, cost: Tensor, count: int, patience: float = 2.0) -> list[int]:
    """Pick images that differ most from each other, beginning with the cheapest (greedy max-min).

    Args:
        x: candidate images, `(M, C, H, W)`.
        cost: size of each one's change, `(M,)`.
        count: how many to pick.
        patience: candidates dearer than `patience` times the cheapest `count` (at least) are not considered.

    Returns:
        Positions of at most `count` candidates, cheapest first.

    Example:
        >>> x = torch.tensor([0.0, 0.01, 0.9, 0.5]).reshape(4, 1, 1, 1)
        >>> select_diverse(x, torch.tensor([1.0, 1.1, 1.6, 1.5]), 2)
        [0, 2]
    """
    order = cost.argsort()
    limit = patience * float(cost[order[0]]) if len(order) else 0.0
    near = [i for rank, i in enumerate(order.tolist()) if rank < count or float(cost[i]) <= limit]
    distance = pairwise_distance(x[near])
    chosen = [0] if near else []
    while len(chosen) < min(count, len(near)):
        nearest = distance[:, chosen].amin(1)
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
    return sorted((near[i] for i in chosen), key=lambda i: float(cost[i]))
