"""Bending images as soft tissue bends, by a smooth field of shifts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def bend(x: Tensor, strength: float, rng: torch.Generator, cells: int = 4) -> Tensor:
    """Shift every pixel by a smooth random field; what comes from outside is mirrored at the edge.

    Args:
        x: images `(N, C, H, W)`.
        strength: deviation of the shifts, as a share of the image's side.
        rng: a generator on the CPU; each image draws a field of its own.
        cells: bumps of the field along each side.

    Example:
        >>> x = torch.rand(2, 1, 8, 8)
        >>> bend(x, 0.0, torch.Generator().manual_seed(0)).sub(x).abs().max().item() < 1e-5
        True
    """
    coarse = torch.randn(len(x), 2, cells + 1, cells + 1, generator=rng).to(x)
    field = F.interpolate(coarse, size=x.shape[-2:], mode="bicubic", align_corners=True)
    still = torch.eye(2, 3).to(x).expand(len(x), -1, -1)
    grid = F.affine_grid(still, list(x.shape), align_corners=False) + 2 * strength * field.permute(0, 2, 3, 1)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
