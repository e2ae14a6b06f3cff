"""Several different explanations of one image, and how different they are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from histoxplain._checks import check_one_of

PATIENCE = 2.0
"""How many times as dear as the cheapest a candidate may be."""
SELECTIONS = ("spread", "determinant")
LENGTH = 0.1
"""The `pairwise_distance` at which two images count as a third alike (kernel exp(-d/LENGTH))."""


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


def select_diverse(x: Tensor, cost: Tensor, count: int, patience: float = PATIENCE) -> list[int]:
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
    near = affordable(cost, count, patience)
    distance = pairwise_distance(x[near])
    chosen = [0] if near else []
    while len(chosen) < min(count, len(near)):
        nearest = distance[:, chosen].amin(1)
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
    return sorted((near[i] for i in chosen), key=lambda i: float(cost[i]))


def affordable(cost: Tensor, count: int, patience: float = PATIENCE) -> list[int]:
    """Positions of the cheapest `count` candidates and of all not dearer than `patience` times the cheapest, by cost.

    Example:
        >>> affordable(torch.tensor([9.0, 1.0, 1.5]), 1)
        [1, 2]
    """
    order = cost.argsort()
    limit = patience * float(cost[order[0]]) if len(order) else 0.0
    return [i for rank, i in enumerate(order.tolist()) if rank < count or float(cost[i]) <= limit]


def select_determinant(x: Tensor, cost: Tensor, count: int, patience: float = PATIENCE) -> list[int]:
    """Pick images that are cheap and unlike each other: the greedy mode of a determinantal point process.

    Of the kernel `L_ij = q_i q_j exp(-d_ij / LENGTH)`, with quality `q_i` the cheapest cost over the candidate's own
    and `d` the `pairwise_distance`, the subset with the largest determinant is approached by adding, one after another,
    the candidate that enlarges it most (Chen, Zhang and Zhou, *Fast greedy MAP inference for determinantal point
    process*, 2018).

    Args:
        x: candidate images, `(M, C, H, W)`.
        cost: size of each one's change, `(M,)`.
        count: how many to pick.
        patience: see `select_diverse`.

    Returns:
        Positions of at most `count` candidates, cheapest first; the cheapest is among them.

    Example:
        >>> x = torch.tensor([0.0, 0.01, 0.9, 0.5]).reshape(4, 1, 1, 1)
        >>> select_determinant(x, torch.tensor([1.0, 1.1, 1.6, 1.5]), 2)
        [0, 3]
    """
    near = affordable(cost, count, patience)
    if not near:
        return []
    quality = cost[near].min().clamp_min(1e-9) / cost[near].clamp_min(1e-9)
    kernel = quality[:, None] * quality * (-pairwise_distance(x[near]) / LENGTH).exp()
    chosen = greedy_map(kernel, min(count, len(near)))
    return sorted((near[i] for i in chosen), key=lambda i: float(cost[i]))


def greedy_map(kernel: Tensor, count: int) -> list[int]:
    """The subset of a determinantal point process that greedy growth finds most probable.

    Args:
        kernel: symmetric, positive semidefinite, `(M, M)`.
        count: how many, at most M.

    Returns:
        Positions in the order they were added: the largest diagonal entry first, then whatever adds most volume.

    Example:
        >>> greedy_map(torch.tensor([[1.0, 0.99, 0.0], [0.99, 1.0, 0.0], [0.0, 0.0, 0.5]]), 2)
        [0, 2]
    """
    left = kernel.double().diagonal().clone()
    factors = torch.zeros(0, len(kernel), dtype=torch.float64)
    chosen: list[int] = []
    while len(chosen) < count:
        left[chosen] = -torch.inf
        best = int(left.argmax())
        row = (kernel[best].double() - factors[:, best] @ factors) / left[best].clamp_min(1e-12).sqrt()
        factors = torch.cat([factors, row[None]])
        left = left - row.square()
        chosen.append(best)
    return chosen


def choose(x: Tensor, cost: Tensor, count: int, selection: str = "spread") -> list[int]:
    """Pick different images by `select_diverse` ("spread") or `select_determinant` ("determinant").

    Raises:
        InputError: if the selection is unknown.
    """
    check_one_of("selection", selection, SELECTIONS)
    return (select_diverse if selection == "spread" else select_determinant)(x, cost, count)
