"""Sample grids: one row a class, the same z in every row and at every snapshot."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from histoxplain._atomic import replacing
from histoxplain.data import to_uint8
from histoxplain.models.stylegan2 import Generator

COLUMNS = 8


@torch.no_grad()
def sample_grid(generator: Generator, columns: int = COLUMNS, seed: int = 0, truncation_psi: float = 1) -> Tensor:
    """A grid of samples, uint8 `(C, rows * R, columns * R)`; one row a class."""
    device = next(generator.parameters()).device
    rows = max(generator.c_dim, 1)
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(columns, generator.z_dim, generator=rng).to(device).repeat(rows, 1)
    c = torch.eye(rows, device=device).repeat_interleave(columns, 0) if generator.c_dim else None
    ws = generator.mapping(z, c, truncation_psi)
    noise = torch.Generator(device).manual_seed(seed)
    images = torch.cat([generator.synthesis(row, "random", noise) for row in ws.split(columns)])
    side = generator.img_resolution
    grid = images.unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4)
    return to_uint8(grid.reshape(generator.img_channels, rows * side, columns * side)).cpu()


def save_samples(out: Path, generator: Generator, images_seen: int) -> Path:
    """Write `samples-<kimg>.png` into a training's folder."""
    grid = sample_grid(generator)
    picture = grid[0] if len(grid) == 1 else grid.permute(1, 2, 0)
    path = out / f"samples-{images_seen // 1000:06d}.png"
    with replacing(path) as part:
        Image.fromarray(picture.numpy()).save(part, format="PNG")
    return path
