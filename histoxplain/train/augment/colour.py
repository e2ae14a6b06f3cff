"""Other brightness, contrast, hue and saturation: one change of colour for each image of a batch."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from histoxplain.train.affine import rotate3d, scale3d, translate3d
from histoxplain.train.augment.draws import Draw, gaussian, symmetric

COLOUR = ("brightness", "contrast", "lumaflip", "hue", "saturation")
"""The changes, in the order in which they are drawn."""


def colour_change(draw: Draw) -> Tensor:
    """All colour changes as `(N, 4, 4)`."""
    eye = torch.eye(4, device=draw.device)
    axis = torch.tensor([1.0, 1.0, 1.0, 0.0], device=draw.device) / 3**0.5
    along = torch.outer(axis, axis)
    change = eye.expand(draw.n, 4, 4)
    if draw["brightness"]:
        std = draw["brightness_std"]
        b = draw.pick("brightness", draw.normal() * std, 0, lambda q: gaussian(q) * std)
        change = translate3d(b) @ change
    if draw["contrast"]:
        std = draw["contrast_std"]
        s = draw.pick("contrast", torch.exp2(draw.normal() * std), 1, lambda q: torch.exp2(gaussian(q) * std))
        change = scale3d(s) @ change
    if draw["lumaflip"]:
        i = draw.pick("lumaflip", (draw.uniform(1, 1) * 2).floor(), 0, lambda q: (q * 2).floor())
        change = (eye - 2 * along * i) @ change
    if draw["hue"] and draw.channels > 1:
        most = pi * draw["hue_max"]
        angle = draw.pick("hue", (draw.uniform() * 2 - 1) * most, 0, lambda q: symmetric(q) * most)
        change = rotate3d(axis[:3], angle) @ change
    if draw["saturation"] and draw.channels > 1:
        std = draw["saturation_std"]
        drawn = torch.exp2(draw.normal(1, 1) * std)
        s = draw.pick("saturation", drawn, 1, lambda q: torch.exp2(gaussian(q) * std))
        change = (along + (eye - along) * s) @ change
    return change


def recolour(images: Tensor, change: Tensor) -> Tensor:
    """Apply changes of colour `(N, 4, 4)` to images `(N, C, H, W)`; grey ones take their mean."""
    flat = images.flatten(2)
    if images.shape[1] == 1:
        change = change[:, :3].mean(1, keepdim=True)
        flat = flat * change[:, :, :3].sum(2, keepdim=True) + change[:, :, 3:]
    else:
        flat = change[:, :3, :3] @ flat + change[:, :3, 3:]
    return flat.reshape(images.shape)
