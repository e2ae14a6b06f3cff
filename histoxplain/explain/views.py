"""Small changes that leave tissue what it is: an explanation must survive them, an adversarial pattern does not."""

from __future__ import annotations

import torch
from torch import Tensor

FIXED = ((0, False, 0, 0), (1, True, 2, -1), (2, False, -1, 2))
"""The views that decide whether a search has arrived: quarter turns, mirrored, shift in pixels down and right."""


def moved(x: Tensor, turns: int, mirror: bool, down: int, right: int) -> Tensor:
    """Turn, mirror and shift square images; what leaves at one border comes back mirrored at it.

    Args:
        x: images, `(N, C, H, W)`.
        turns: quarter turns.
        mirror: left becomes right, before the turn.
        down: shift in pixels, smaller than the image.
        right: shift in pixels, smaller than the image.

    Example:
        >>> moved(torch.arange(4.0).reshape(1, 1, 2, 2), 1, False, 0, 0).flatten().tolist()
        [1.0, 3.0, 0.0, 2.0]
    """
    x = torch.rot90(x.flip(-1) if mirror else x, turns, (-2, -1))
    reach = max(abs(down), abs(right))
    if not reach:
        return x
    height, width = x.shape[-2:]
    padded = torch.nn.functional.pad(x, (reach,) * 4, mode="reflect")
    return padded[..., reach - down : reach - down + height, reach - right : reach - right + width]


def random_view(x: Tensor, generator: torch.Generator, shift: int = 3, noise: float = 0.03) -> Tensor:
    """One random view of a batch, the same move for all of it, with a little noise on every pixel.

    Args:
        x: images, `(N, C, H, W)`.
        generator: draws the view.
        shift: largest shift in pixels.
        noise: standard deviation of the noise, on the scale of `[-1, 1]`.
    """
    shift = min(shift, x.shape[-1] // 8)
    turns, mirror = (int(torch.randint(n, (), generator=generator)) for n in (4, 2))
    down, right = (int(torch.randint(-shift, shift + 1, (), generator=generator)) for _ in range(2))
    grain = torch.randn(x.shape, generator=generator).to(x.device)
    return moved(x, turns, bool(mirror), down, right) + noise * grain
