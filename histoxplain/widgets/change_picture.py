"""What changed, painted over a grey image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from histoxplain.data import to_uint8
from histoxplain.explain.change import paint_change

if TYPE_CHECKING:
    from torch import Tensor

BLEND = 0.75
"""How much of a changed pixel's shade is that of its change; the rest is the image's."""


def change_over(x: Tensor, change: Tensor, limit: float, threshold: float = 0.0, blend: float = BLEND) -> np.ndarray:
    """Changes of at least a threshold in colour, over the image in grey.

    Args:
        x: the image, (C, H, W) in [-1, 1].
        change: signed change of brightness, (H, W) in [-1, 1].
        limit: the change at which colours saturate.
        threshold: the least change that is coloured.
        blend: how much of the colour is that of the change, 0 to 1.

    Returns:
        (H, W, 3) uint8.

    Example:
        >>> import torch
        >>> change_over(torch.ones(3, 1, 2), torch.tensor([[0.0, -0.5]]), limit=0.5, threshold=0.1, blend=1.0).tolist()
        [[[255, 255, 255], [45, 0, 75]]]
    """
    shown = to_uint8(x).permute(1, 2, 0).numpy()
    grey = np.broadcast_to(shown.mean(2, keepdims=True), (*shown.shape[:2], 3))
    part = blend * (change.abs() >= max(threshold, 1e-6)).numpy()[..., None]
    return (part * paint_change(change, limit) + (1 - part) * grey).round().astype(np.uint8)


def change_words(change: Tensor, threshold: float) -> str:
    """How much changed, and which way, in words.

    Example:
        >>> import torch
        >>> change_words(torch.tensor([[0.0, 0.0, -0.5, 0.5], [0.0, 0.0, -0.5, 0.0]]), 0.1)
        '38% of the image changed by 10% or more: 25% darker, 12% lighter'
    """
    darker, lighter = ((sign * change >= max(threshold, 1e-6)).float().mean().item() for sign in (-1, 1))
    if not darker + lighter:
        return f"nothing changed by {threshold:.0%} or more"
    parts = f"{darker:.0%} darker, {lighter:.0%} lighter"
    return f"{darker + lighter:.0%} of the image changed by {threshold:.0%} or more: {parts}"
