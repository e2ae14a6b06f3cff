"""How alike two pictures are in what is where: the correlation of their pixels."""

from __future__ import annotations

import torch
from torch import Tensor


def likeness(a: Tensor, b: Tensor) -> float:
    """Correlation of two maps `(H, W)` over their pixels; 1 for two that are constant and equal, 0 if only one is.

    Example:
        >>> one = torch.tensor([[0.0, 1.0], [0.0, 0.0]])
        >>> likeness(one, 2 * one), likeness(one, -one)
        (1.0, -1.0)
    """
    centred = [(x - x.mean()).flatten().double() for x in (a, b)]
    scale = centred[0].norm() * centred[1].norm()
    if float(scale) < 1e-12:
        return float(torch.equal(a, b))
    return round(float(centred[0] @ centred[1] / scale), 6)
