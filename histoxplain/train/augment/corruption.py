"""Noise, and squares that hide a part of each image."""

from __future__ import annotations

import torch
from torch import Tensor

from histoxplain.train.augment.draws import Draw


def noise(draw: Draw) -> Tensor:
    """Gaussian noise `(N, C, H, W)`, of another strength for each image."""
    std = draw["noise_std"]
    drawn = draw.normal(1, 1, 1).abs() * std
    sigma = draw.pick("noise", drawn, 0, lambda q: torch.erfinv(q).abs() * std)
    return draw.normal(draw.channels, draw.height, draw.width) * sigma


def cutout(draw: Draw) -> Tensor:
    """1 outside, 0 inside a square of each image."""
    full = torch.full([draw.n, 2, 1, 1], float(draw["cutout_size"]), device=draw.device)
    size = draw.pick("cutout", full, 0, lambda _: draw["cutout_size"])
    centre = draw.uniform(2, 1, 1)
    centre = centre if draw.percentile is None else torch.full_like(centre, draw.percentile)
    y, x = (torch.arange(side, device=draw.device).add(0.5) / side for side in (draw.height, draw.width))
    far_x = (x[None, None] - centre[:, 0, :, None]).abs() >= size[:, 0, :, None] / 2
    far_y = (y[None, :, None] - centre[:, 1, :, None]).abs() >= size[:, 1, :, None] / 2
    return (far_x.reshape(draw.n, 1, 1, -1) | far_y.reshape(draw.n, 1, -1, 1)).float()
