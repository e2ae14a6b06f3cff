"""Images turned about and shifted, and what must happen to maps of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

FARTHEST = 4
"""Shifts are up to one part of so many of an image's side."""


class Move(NamedTuple):
    """A turn, perhaps in a mirror, and after it a shift by whole cells of a map; what a shift uncovers is mirrored."""

    turns: int = 0
    """Quarter turns."""
    mirror: bool = False
    down: int = 0
    """Cells of a map."""
    right: int = 0

    @classmethod
    def any(cls, side: int, grid: int, generator: torch.Generator) -> Move:
        """One by chance, for images of `side` pixels and maps of `grid` cells; no shift by parts of pixels."""
        most = grid // FARTHEST if side % grid == 0 else 0

        def below(n: int) -> int:
            return int(torch.randint(n, (), generator=generator, device=generator.device))

        return cls(below(4), bool(below(2)), below(2 * most + 1) - most, below(2 * most + 1) - most)

    def images(self, x: Tensor, grid: int) -> Tensor:
        """Images `(N, C, R, R)`, moved.

        Example:
            >>> x = torch.arange(16.0).reshape(1, 1, 4, 4)
            >>> Move(down=1).images(x, grid=4)[0, 0, :, 0].tolist()
            [4.0, 0.0, 4.0, 8.0]
        """
        x = self._turned(x)
        cell, side = x.shape[2] // grid, x.shape[2]
        edge = cell * max(abs(self.down), abs(self.right))
        if not edge:
            return x
        top, left = edge - cell * self.down, edge - cell * self.right
        return F.pad(x, (edge,) * 4, mode="reflect")[..., top : top + side, left : left + side]

    def same(self, maps: Tensor, moved: Tensor) -> tuple[Tensor, Tensor]:
        """Maps `(N, K, g, g)` of images, and of the images moved, both at the places that they have in common."""
        g, maps = maps.shape[2], self._turned(maps)
        (a, b), (c, d) = (
            (slice(max(-by, 0), g - max(by, 0)), slice(max(by, 0), g + min(by, 0))) for by in (self.down, self.right)
        )
        return maps[..., a, c], moved[..., b, d]

    def _turned(self, x: Tensor) -> Tensor:
        x = x.rot90(self.turns, (2, 3))
        return x.flip(3) if self.mirror else x
