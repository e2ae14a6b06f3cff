"""Small changes that leave tissue what it is: an explanation must survive them, an adversarial pattern does not."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

GRAIN = 0.05
"""Standard deviation of the grain that views add, on the scale of `[-1, 1]`: about 6 of 256 grey levels."""
FADED = 0.6
"""How much of the colour a faded view keeps."""


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
    padded = F.pad(x, (reach,) * 4, mode="reflect")
    return padded[..., reach - down : reach - down + height, reach - right : reach - right + width]


def grainy(x: Tensor, generator: torch.Generator, strength: float = GRAIN) -> Tensor:
    """Images `(N, C, H, W)` with normal noise on every pixel, another for each image."""
    return x + strength * torch.randn(x.shape, generator=generator).to(x)


def softened(x: Tensor) -> Tensor:
    """Images `(N, C, H, W)` averaged over squares of 3 x 3 pixels below 128 px, 5 x 5 from there, 9 x 9 from 256 px."""
    reach = max(x.shape[-1] // 64, 1)
    return F.avg_pool2d(F.pad(x, (reach,) * 4, mode="reflect"), 2 * reach + 1, 1)


def faded(x: Tensor, share: float = FADED) -> Tensor:
    """Images `(N, C, H, W)` with only `share` of their colour left; grey ones stay as they are."""
    return share * x + (1 - share) * x.mean(1, keepdim=True)


def fixed_views(x: Tensor) -> list[Tensor]:
    """The views that decide whether a search has arrived: turned and grainy, turned and faded, softened.

    Args:
        x: images, `(N, C, H, W)`.

    Returns:
        Three batches of the same shape; the grain is always the same.
    """
    grain = grainy(torch.zeros_like(x[:1]), torch.Generator().manual_seed(0))
    return [moved(x, 1, True, 2, -1) + grain, faded(moved(x, 2, False, -1, 2)), softened(x)]


def random_view(x: Tensor, generator: torch.Generator, shift: int = 3) -> Tensor:
    """One random view of a batch, the same for all of it but for the grain.

    Args:
        x: images, `(N, C, H, W)`.
        generator: draws the view.
        shift: largest shift in pixels.
    """
    shift = min(shift, x.shape[-1] // 8)
    turns, mirror, look = (int(torch.randint(n, (), generator=generator)) for n in (4, 2, 3))
    down, right = (int(torch.randint(-shift, shift + 1, (), generator=generator)) for _ in range(2))
    looks: list[Callable[[Tensor], Tensor]] = [lambda y: y, faded, softened]
    return grainy(looks[look](moved(x, turns, bool(mirror), down, right)), generator)
