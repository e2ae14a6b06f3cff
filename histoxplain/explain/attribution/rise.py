"""RISE: show a black box many random parts of an image, and average what it says over where one could see."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from histoxplain._checks import check, check_at_least, check_between

BLOCK = 64
"""Masks drawn together."""


def random_masks(count: int, height: int, width: int, *, grid: int = 8, p: float = 0.5, rng: torch.Generator) -> Tensor:
    """Smooth random masks: a coarse grid of zeros and ones, enlarged and shifted by part of a cell.

    Args:
        count: how many.
        height: of each, in pixels.
        width: of each, in pixels.
        grid: cells along each side.
        p: probability that a cell shows the image.
        rng: the source of chance, on the CPU.

    Returns:
        `(count, 1, height, width)` in `[0, 1]`; 1 shows the image. Their mean is `p`.
    """
    cell = -(-height // grid), -(-width // grid)
    coarse = (torch.rand(count, 1, grid + 1, grid + 1, generator=rng) < p).float()
    large = F.interpolate(
        coarse, size=((grid + 1) * cell[0], (grid + 1) * cell[1]), mode="bilinear", align_corners=False
    )
    down, right = (torch.randint(0, side, (count,), generator=rng) for side in cell)
    rows = down[:, None] + torch.arange(height)
    columns = right[:, None] + torch.arange(width)
    return large.clamp(0, 1)[torch.arange(count)[:, None, None], 0, rows[:, :, None], columns[:, None, :]][:, None]


@torch.no_grad()
def rise(
    score: Callable[[Tensor], Tensor],
    x: Tensor,
    baseline: Tensor,
    *,
    masks: int = 1000,
    grid: int = 8,
    p: float = 0.5,
    seed: int = 0,
    batch_size: int = 16,
) -> Tensor:
    """What a black box says on average while a pixel can be seen (Petsiuk, Das & Saenko, 2018).

    Args:
        score: images `(N, C, H, W)` to `(N,)`.
        x: one image, `(C, H, W)`.
        baseline: what is seen where the image is hidden, `(C, H, W)`.
        masks: how many random masks. The average over chance falls with the root of their number.
        grid: cells of a mask along each side.
        p: probability that a cell shows the image.
        seed: fixes the masks; they do not depend on `batch_size`.
        batch_size: images the black box looks at together.

    Returns:
        `(H, W)`: the mean of the scores, weighted by how far each mask shows the pixel. A score that never changes
        gives a map that is that score everywhere.

    Raises:
        InputError: if an argument is out of range.
    """
    check_at_least("masks", masks, 1)
    check_at_least("grid", grid, 1)
    check_between("p", p, 0.0, 1.0)
    check(p > 0, "p", "be above 0", p, "0.5 shows half of the image at a time")
    rng = torch.Generator().manual_seed(seed)
    total, seen = torch.zeros(x.shape[-2:], device=x.device), torch.zeros(x.shape[-2:], device=x.device)
    for start in range(0, masks, BLOCK):
        drawn = random_masks(min(BLOCK, masks - start), *x.shape[-2:], grid=grid, p=p, rng=rng)
        for some in drawn.to(x).split(batch_size):
            found = score(some * x + (1 - some) * baseline).to(x)
            total += torch.einsum("n,nhw->hw", found, some[:, 0])
            seen += some[:, 0].sum(0)
    return total / seen.clamp_min(1e-6)
