"""The ways to resize images that published distances depend on (Parmar et al., 2022, arXiv:2104.11222)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def tensorflow_bilinear(x: Tensor, size: int) -> Tensor:
    """Bilinear as in TensorFlow 1: output pixel i lies at input pixel `i * old / new`, nothing is averaged.

    It shifts images by up to half a pixel, and shrinking images aliases; the first FID was computed so.

    Args:
        x: `(N, C, H, W)`, any range.
        size: new side in pixels.

    Returns:
        `(N, C, size, size)`.

    Example:
        >>> tensorflow_bilinear(torch.tensor([[[[0.0, 4.0], [0.0, 4.0]]]]), 4)[0, 0, 0].tolist()
        [0.0, 2.0, 4.0, 4.0]
    """
    for dim in (2, 3):
        old = x.shape[dim]
        place = torch.arange(size, device=x.device) * (old / size)
        before = place.long()
        after = (before + 1).clamp(max=old - 1)
        share = (place - before).to(x.dtype).reshape(-1, *[1] * (3 - dim))
        x = torch.lerp(x.index_select(dim, before), x.index_select(dim, after), share)
    return x


def bicubic(x: Tensor, size: int) -> Tensor:
    """Bicubic and antialiased, as Pillow resizes; what overshoots [0, 255] is cut off.

    Args:
        x: pixels `(N, C, H, W)` in [0, 255].
        size: new side in pixels.

    Returns:
        `(N, C, size, size)` in [0, 255].

    Example:
        >>> bicubic(torch.full((1, 1, 8, 8), 7.0), 4)[0, 0, 0]
        tensor([7.0000, 7.0000, 7.0000, 7.0000])
    """
    return F.interpolate(x, size=(size, size), mode="bicubic", antialias=True, align_corners=False).clamp(0, 255)
