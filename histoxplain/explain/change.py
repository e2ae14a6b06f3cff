"""Where an image became lighter or darker: signed change maps and their colours."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# ColorBrewer's PuOr, safe for the common kinds of colour blindness: purple is darker, orange is lighter.
COLOURS = ("2d004b", "542788", "8073ac", "b2abd2", "d8daeb", "f7f7f7", "fee0b6", "fdb863", "e08214", "b35806", "7f3b08")
DARKER, LIGHTER = "darker (more stain)", "lighter"


def change_map(before: Tensor, after: Tensor) -> Tensor:
    """Signed change of brightness between two images, averaged over the channels.

    Args:
        before: images in `[-1, 1]`, shape `(..., C, H, W)`.
        after: images of the same kind; broadcast against `before`.

    Returns:
        Change in `[-1, 1]`, shape `(..., H, W)`: -1 is white turned black, +1 is black turned white.

    Example:
        >>> change_map(-torch.ones(3, 1, 1), torch.ones(3, 1, 1)).item()
        1.0
    """
    return (after - before).mean(-3) / 2


def colour_table(steps: int = 256) -> np.ndarray:
    """The diverging colours from darker to lighter, `(steps, 3)` uint8."""
    anchors = np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in COLOURS], dtype=float)
    at = np.linspace(0, len(anchors) - 1, steps)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, i]) for i in range(3)]
    return np.stack(channels, 1).round().astype(np.uint8)


def change_limit(change: Tensor) -> float:
    """The change at which the colours saturate: the 99.5th percentile of its size, at least 0.05."""
    size = change.abs().flatten()
    return max(float(torch.quantile(size[:: max(1, size.numel() // 1_000_000)], 0.995)), 0.05) if len(size) else 0.05


def paint_change(change: Tensor, limit: float | None = None) -> np.ndarray:
    """Colour a change map.

    Args:
        change: signed change, shape `(H, W)`.
        limit: the change at which the colours saturate; by default `change_limit(change)`.

    Returns:
        Colours, `(H, W, 3)` uint8: near-white where nothing changed, purple where darker, orange where lighter.

    Example:
        >>> paint_change(torch.zeros(1, 1)).tolist()
        [[[247, 247, 247]]]
    """
    limit = change_limit(change) if limit is None else limit
    table = colour_table(257)
    scaled = (change.double() / limit).clamp(-1, 1).mul(128).add(128).round()
    return table[scaled.numpy().astype(int)]
