"""Haematoxylin and eosin apart: how much of each stain a pixel holds, by Beer and Lambert's law."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from histoxplain._checks import check, check_images

H_AND_E = ((0.644211, 0.716556, 0.266844), (0.092789, 0.954111, 0.283111))
"""Absorption of red, green and blue by haematoxylin and by eosin, unit vectors.

From Ruifrok and Johnston, *Quantification of histochemical staining by color deconvolution*, Anal Quant Cytol Histol 23
(2001), as Landini et al. publish them (*Colour deconvolution*, Bioinformatics 37, 2021).
"""
DARKEST = 1 / 255
"""The least light that counts; 8 bits know no less."""


def optical_density(x: Tensor) -> Tensor:
    """How much light is absorbed: `-log10` of the share that passes.

    Args:
        x: images in `[-1, 1]`, any shape; 1 is clear glass.

    Returns:
        0 for white to 2.41 for black, same shape.

    Example:
        >>> optical_density(torch.tensor([1.0, -0.8])).abs().tolist()
        [0.0, 1.0...]
    """
    return -((x + 1) / 2).clamp(DARKEST, 1).log10()


def separate_stains(x: Tensor, stains: Sequence[Sequence[float]] = H_AND_E) -> Tensor:
    """Optical density of each stain in every pixel (colour deconvolution, see `H_AND_E`).

    The amounts that explain a pixel's colour best in the sense of least squares; what both stains do not explain is
    left out, and no amount is negative.

    Args:
        x: RGB images in `[-1, 1]`, `(N, 3, H, W)`.
        stains: absorption of red, green and blue by each of the two stains; scaled to unit length.

    Returns:
        Densities `(N, 2, H, W)`: haematoxylin, then eosin; 1 absorbs a unit vector's worth of light.

    Raises:
        InputError: if images are not RGB, or the stains cannot be told apart.

    Example:
        >>> light = 10 ** -(0.5 * torch.tensor(H_AND_E[0]) + 0.2 * torch.tensor(H_AND_E[1]))
        >>> separate_stains((2 * light - 1).reshape(1, 3, 1, 1)).round(decimals=3).flatten().tolist()
        [0.5..., 0.200...]
    """
    check_images("x", x, 3)
    vectors = torch.as_tensor(stains, dtype=torch.float64)
    check(tuple(vectors.shape) == (2, 3), "stains", "be two vectors of three numbers", tuple(vectors.shape))
    lengths = vectors.norm(dim=1, keepdim=True)
    check(bool((lengths > 0).all()), "stains", "absorb something", vectors.tolist())
    vectors = vectors / lengths
    apart = float(torch.linalg.cross(*vectors).norm())
    check(apart > 0.05, "stains", "differ in colour", vectors.tolist(), "use `H_AND_E`")
    unmix = torch.linalg.pinv(vectors).to(x)  # (3, 2)
    return torch.einsum("nchw,cs->nshw", optical_density(x), unmix).clamp_min(0)
