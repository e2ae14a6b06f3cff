"""Sparse steps: along the few coordinates that promise most, until the aim is reached."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Slope = Callable[[Tensor], tuple[Tensor, Tensor]]
"""`u (N, S) -> (margin (N,), its gradient (N, S))`: how far past the aim each row is, >= 0 where it is reached."""


def stagewise(
    slope: Slope, low: Tensor, high: Tensor, steps: int = 16, stride: float = 0.5, sparsity: float = 0.5
) -> Tensor:
    """Forward stagewise ascent: proximal steps that trace the path of an L1 penalty within a box.

    In every step only those coordinates move whose slope is more than `sparsity` of the steepest one's that has room
    left; rows stop where they have reached the aim. Small steps of this kind follow the path of the lasso (Efron et
    al., *Least angle regression*, 2004).

    Args:
        slope: see `Slope`.
        low: how far down each coordinate may go, `(N, S)`, at most 0; where both are 0 it stays.
        high: how far up, `(N, S)`, at least 0.
        steps: at most.
        stride: how far the steepest coordinate goes in one step.
        sparsity: in `[0, 1)`.

    Returns:
        Where it ends, `(N, S)`.

    Example:
        >>> weights, box = torch.tensor([[1.0, 4.0, -3.0]]), torch.ones(1, 3)
        >>> stagewise(lambda u: ((u * weights).sum(1) - 6, weights), -box, box, steps=20).tolist()
        [[0.0, 1.0, -1.0]]
    """
    u = torch.zeros_like(high)
    for _ in range(steps):
        margin, gradient = slope(u)
        todo = (margin < 0)[:, None]
        room = torch.where(gradient > 0, high - u, u - low) > 1e-6
        gradient = gradient * room
        steep = gradient / gradient.abs().amax(1, keepdim=True).clamp_min(1e-20)
        step = stride * F.softshrink(steep, sparsity) / (1 - sparsity)
        moved = torch.maximum(torch.minimum(u + step, high), low)
        if not bool((todo & (moved != u)).any()):
            break
        u = torch.where(todo, moved, u)
    return u
