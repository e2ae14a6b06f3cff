"""Random changes that leave the diagnosis alone: orientation, magnification, colour, sharpness, noise.

Everything works on whole batches `(N, C, H, W)` in `[-1, 1]` and draws from an explicit `torch.Generator`, each image
its own numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_LUMA = (0.299, 0.587, 0.114)


def _uniform(n: int, low: float, high: float, rng: torch.Generator, columns: int = 1) -> Tensor:
    return torch.rand(n, columns, generator=rng) * (high - low) + low


def orient(x: Tensor, rng: torch.Generator) -> Tensor:
    """One of the eight flips and quarter turns of a square, for each image; `(N, C, H, W)` with H = W.

    Example:
        >>> x = torch.arange(4.0).reshape(1, 1, 2, 2)
        >>> orient(x, torch.Generator().manual_seed(0)).sum().item()
        6.0
    """
    flips = [torch.rand(len(x), 1, 1, 1, generator=rng).to(x.device) < 0.5 for _ in range(3)]
    x = torch.where(flips[0], x.flip(3), x)
    x = torch.where(flips[1], x.flip(2), x)
    return torch.where(flips[2], x.transpose(2, 3), x)


def zoom(x: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Magnify by up to `1 + strength` either way and shift by as much; what is missing is mirrored at the edge."""
    n, limit = len(x), math.log1p(strength)
    scale = _uniform(n, -limit, limit, rng).exp()
    shift = _uniform(n, -strength, strength, rng, columns=2) / 2
    theta = torch.eye(2).repeat(n, 1, 1) * scale[..., None]
    grid = F.affine_grid(torch.cat([theta, shift[..., None]], dim=2).to(x), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def colour_matrices(n: int, strength: float, rng: torch.Generator, channels: int = 3) -> tuple[Tensor, Tensor]:
    """Random affine maps of colour: contrast, channel gains, saturation, hue, and brightness.

    Args:
        n: how many.
        strength: 0 is the identity; at `s`, contrast, gains and saturation vary by a factor of up to `1 + s`, hue by
            up to `s / 5` turns, brightness by up to `s`.
        rng: where the numbers come from.
        channels: 3, or 1 for contrast and brightness only.

    Returns:
        Matrices `(n, channels, channels)` and offsets `(n, channels)`, for images in `[-1, 1]`.
    """
    limit = math.log1p(strength)
    contrast = _uniform(n, -limit, limit, rng).exp()[..., None]
    brightness = _uniform(n, -strength, strength, rng) / 2
    if channels != 3:
        return contrast * torch.eye(channels), brightness.expand(n, channels)
    gains = torch.diag_embed(_uniform(n, -limit / 2, limit / 2, rng, columns=3).exp())
    saturation = _uniform(n, -limit, limit, rng).exp()[..., None]
    grey = torch.tensor(_LUMA).expand(3, 3)
    saturate = grey + saturation * (torch.eye(3) - grey)
    angle = _uniform(n, -strength / 5, strength / 5, rng)[..., None] * (2 * math.pi)
    matrix = contrast * gains @ saturate @ _hue_rotation(angle)
    # gains act on light in [0, 1]: white and black move apart from grey, so an offset keeps black black
    offset = brightness + (gains.diagonal(dim1=1, dim2=2) - 1)
    return matrix, offset


def _hue_rotation(angle: Tensor) -> Tensor:
    """Rotation about the grey axis (Rodrigues); `angle` `(N, 1, 1)` in radians."""
    third, root = torch.full((3, 3), 1 / 3), 1 / math.sqrt(3)
    cross = torch.tensor([[0.0, -root, root], [root, 0.0, -root], [-root, root, 0.0]])
    return third + angle.cos() * (torch.eye(3) - third) + angle.sin() * cross


def recolour(x: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Apply one affine map of colour to each image: `(N, C, H, W)`, `(N, C, C)`, `(N, C)`.

    Example:
        >>> recolour(torch.ones(1, 1, 1, 1), torch.full((1, 1, 1), 0.5), torch.full((1, 1), -0.2)).item()
        0.3...
    """
    return torch.einsum("nij,njhw->nihw", matrix.to(x), x) + offset.to(x)[..., None, None]


def sharpen(x: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Blur (towards the mean of 3x3 neighbours) or sharpen (away from it) by up to `strength`."""
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    amount = _uniform(len(x), -strength, 2 * strength, rng).clamp(max=1.0).to(x)[..., None, None]
    return torch.lerp(x, blurred, amount)


def add_noise(x: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Add Gaussian noise whose deviation is uniform between 0 and `strength`, for each image."""
    deviation = _uniform(len(x), 0, strength, rng)[..., None, None]
    return x + (deviation * torch.randn(x.shape, generator=rng)).to(x)


def jitter(
    x: Tensor,
    rng: torch.Generator,
    *,
    orientations: bool = True,
    zoom_by: float = 0.2,
    colour: float = 0.3,
    sharpness: float = 0.5,
    noise: float = 0.1,
) -> Tensor:
    """All of it, in the order of the arguments; the result is clamped to `[-1, 1]`.

    Args:
        x: images `(N, C, H, W)` in `[-1, 1]`, square.
        rng: a generator on the CPU.
        orientations: flip and turn.
        zoom_by, colour, sharpness, noise: strengths; 0 leaves that step out.
    """
    if orientations:
        x = orient(x, rng)
    if zoom_by:
        x = zoom(x, zoom_by, rng)
    if colour:
        x = recolour(x, *colour_matrices(len(x), colour, rng, channels=x.shape[1]))
    if sharpness:
        x = sharpen(x, sharpness, rng)
    if noise:
        x = add_noise(x, noise, rng)
    return x.clamp(-1, 1)
