"""Pictures of samples: grids with one row a class, styles mixed from two, and files that appear whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from histoxplain._atomic import replacing
from histoxplain._checks import check
from histoxplain.data import to_uint8
from histoxplain.models.stylegan2 import Generator

COLUMNS = 8


def seed_noise(generator: Generator, seeds: Sequence[int]) -> Tensor:
    """The noise that a seed means wherever StyleGAN2 is used, `(N, z_dim)`: each seed draws its own row with NumPy.

    Example:
        >>> from types import SimpleNamespace
        >>> seed_noise(SimpleNamespace(z_dim=3, parameters=lambda: iter([torch.zeros(1)])), [0])
        tensor([[1.7641, 0.4002, 0.9787]])
    """
    rows = [np.random.RandomState(seed).standard_normal(generator.z_dim) for seed in seeds]
    return torch.tensor(np.stack(rows), dtype=torch.float32, device=next(generator.parameters()).device)


def mix_styles(ws: Tensor, styles: Tensor, layers: Sequence[int]) -> Tensor:
    """Every latent with some layers taken from every other: coarse layers give layout, fine ones colour.

    Args:
        ws: `(R, num_ws, w_dim)`.
        styles: `(S, num_ws, w_dim)`.
        layers: which of the `num_ws` rows come from `styles`.

    Returns:
        `(R, S, num_ws, w_dim)`.

    Raises:
        InputError: if there is no such layer.

    Example:
        >>> mix_styles(torch.zeros(1, 4, 1), torch.ones(1, 4, 1), layers=[0, 2]).flatten().tolist()
        [1.0, 0.0, 1.0, 0.0]
    """
    last = ws.shape[1] - 1
    check(all(0 <= layer <= last for layer in layers), "layers", f"lie in 0 to {last}", ", ".join(map(str, layers)))
    mixed = ws[:, None].repeat(1, len(styles), 1, 1)
    mixed[:, :, list(layers)] = styles[None, :, list(layers)]
    return mixed


def tiled(images: Tensor, rows: int) -> Tensor:
    """Images `(rows * columns, C, H, W)` in [-1, 1] side by side, uint8 `(C, rows * H, columns * W)`."""
    grid = to_uint8(images).cpu().unflatten(0, (rows, -1))
    return grid.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)


def save_picture(path: Path, pixels: Tensor) -> Path:
    """Write uint8 `(C, H, W)`, grey or RGB, as a PNG file, atomically."""
    picture = pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0).contiguous()
    with replacing(path) as part:
        Image.fromarray(picture.cpu().numpy()).save(part, format="PNG")
    return path


@torch.no_grad()
def sample_grid(generator: Generator, columns: int = COLUMNS, seed: int = 0, truncation_psi: float = 1) -> Tensor:
    """A grid of samples, uint8 `(C, rows * R, columns * R)`; one row a class, the same z in every row."""
    device = next(generator.parameters()).device
    rows = max(generator.c_dim, 1)
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(columns, generator.z_dim, generator=rng).to(device).repeat(rows, 1)
    c = torch.eye(rows, device=device).repeat_interleave(columns, 0) if generator.c_dim else None
    ws = generator.mapping(z, c, truncation_psi)
    noise = torch.Generator(device).manual_seed(seed)
    return tiled(torch.cat([generator.synthesis(row, "random", noise) for row in ws.split(columns)]), rows)


def save_samples(out: Path, generator: Generator, images_seen: int) -> Path:
    """Write `samples-<kimg>.png` into a training's folder."""
    return save_picture(out / f"samples-{images_seen // 1000:06d}.png", sample_grid(generator))
