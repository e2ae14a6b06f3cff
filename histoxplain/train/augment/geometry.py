"""Mirrored, turned, shifted and stretched images: one change of place for each image of a batch."""

from __future__ import annotations

from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor

from histoxplain.ops import downsample2d, upsample2d
from histoxplain.train.affine import matrix, rotate2d, scale2d, translate2d
from histoxplain.train.augment.draws import Draw, gaussian, symmetric

SYM6 = (
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
    *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
    *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
)
"""Daubechies' least asymmetric wavelet with 6 vanishing moments."""
GEOMETRY = ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac")
"""The changes, in the order in which they are drawn."""


def geometric_change(draw: Draw) -> Tensor:
    """The inverse of all geometric changes, `(N, 3, 3)`, in pixels about the image's centre."""
    inverse = torch.eye(3, device=draw.device).expand(draw.n, 3, 3)
    sides = torch.tensor([draw.width, draw.height], device=draw.device)
    if draw["xflip"]:
        i = draw.pick("xflip", (draw.uniform() * 2).floor(), 0, lambda q: (q * 2).floor())
        inverse = inverse @ scale2d(1 / (1 - 2 * i), 1)
    if draw["rotate90"]:
        i = draw.pick("rotate90", (draw.uniform() * 4).floor(), 0, lambda q: (q * 4).floor())
        inverse = inverse @ rotate2d(pi / 2 * i)
    if draw["xint"]:
        reach = draw["xint_max"]
        t = draw.pick("xint", (draw.uniform(2) * 2 - 1) * reach, 0, lambda q: symmetric(q) * reach)
        inverse = inverse @ translate2d(*(-(t * sides).round()).unbind(1))
    if draw["scale"]:
        std = draw["scale_std"]
        s = draw.pick("scale", torch.exp2(draw.normal() * std), 1, lambda q: torch.exp2(gaussian(q) * std))
        inverse = inverse @ scale2d(1 / s, 1 / s)
    turn_chance = 1 - (1 - (draw["rotate"] * draw.p).clamp(0, 1)).sqrt()
    half_turn = pi * draw["rotate_max"]
    if draw["rotate"]:
        angle = (draw.uniform() * 2 - 1) * half_turn
        inverse = inverse @ rotate2d(draw.pick(turn_chance, angle, 0, lambda q: symmetric(q) * half_turn))
    if draw["aniso"]:
        std = draw["aniso_std"]
        s = draw.pick("aniso", torch.exp2(draw.normal() * std), 1, lambda q: torch.exp2(gaussian(q) * std))
        inverse = inverse @ scale2d(1 / s, s)
    if draw["rotate"]:
        angle = (draw.uniform() * 2 - 1) * half_turn
        inverse = inverse @ rotate2d(draw.pick(turn_chance, angle, 0, lambda _: 0.0))
    if draw["xfrac"]:
        std = draw["xfrac_std"]
        t = draw.pick("xfrac", draw.normal(2) * std, 0, lambda q: gaussian(q) * std)
        inverse = inverse @ translate2d(*(-(t * sides)).unbind(1))
    return inverse


def resample(images: Tensor, inverse: Tensor, f: Tensor) -> Tensor:
    """Apply a geometric change with little aliasing: reflect, enlarge twofold, sample, shrink twofold."""
    channels, height, width = images.shape[1:]
    device, reach = images.device, len(f) // 4
    left, top, right, bottom = margin_of(inverse, height, width, reach)
    images = F.pad(images, (left, right, top, bottom), mode="reflect")
    inverse = translate2d((left - right) / 2, (top - bottom) / 2, device=device) @ inverse
    images = upsample2d(images, f)
    inverse = scale2d(2, 2, device=device) @ inverse @ scale2d(0.5, 0.5, device=device)
    half = translate2d(-0.5, -0.5, device=device), translate2d(0.5, 0.5, device=device)
    inverse = half[0] @ inverse @ half[1]
    tall, wide = 2 * (height + 2 * reach), 2 * (width + 2 * reach)
    inverse = scale2d(2 / images.shape[3], 2 / images.shape[2], device=device) @ inverse
    inverse = inverse @ scale2d(wide / 2, tall / 2, device=device)
    grid = F.affine_grid(inverse[:, :2], [len(images), channels, tall, wide], align_corners=False)
    images = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return downsample2d(images, f, padding=-2 * reach, flip_filter=True)


def margin_of(inverse: Tensor, height: int, width: int, reach: int) -> tuple[int, int, int, int]:
    """How far beyond its borders (left, top, right, bottom) the batch looks, at most one side less a pixel."""
    cx, cy = (width - 1) / 2, (height - 1) / 2
    corners = matrix([[-cx, cx, cx, -cx], [-cy, -cy, cy, cy], [1, 1, 1, 1]], device=inverse.device)
    points = (inverse @ corners)[:, :2].permute(1, 0, 2).flatten(1)
    margin = torch.cat([-points, points]).amax(1)
    margin = margin + torch.tensor([2 * reach - cx, 2 * reach - cy] * 2, device=inverse.device)
    limit = torch.tensor([width - 1, height - 1] * 2, device=inverse.device)
    return tuple(int(side) for side in margin.clamp_min(0).minimum(limit).ceil())
