"""The averaged generator: what is shown and shipped."""

from __future__ import annotations

import torch
from torch import nn


def ema_beta(batch: int, ema_kimg: float, images_seen: int, rampup: float | None = None) -> float:
    """Decay of the running mean of weights for one step.

    Args:
        batch: images in the step.
        ema_kimg: half-life in thousands of images.
        images_seen: images so far.
        rampup: shorten the half-life to this share of the images seen; None does not.

    Example:
        >>> ema_beta(32, 10, 0)
        0.9977843871238888
    """
    half_life = ema_kimg * 1000
    if rampup is not None:
        half_life = min(half_life, images_seen * rampup)
    return 0.5 ** (batch / max(half_life, 1e-8))


@torch.no_grad()
def update_ema(average: nn.Module, current: nn.Module, beta: float) -> None:
    """Move the average's parameters towards the current ones and copy its buffers."""
    torch._foreach_lerp_(list(average.parameters()), list(current.parameters()), 1 - beta)
    for kept, buffer in zip(average.buffers(), current.buffers()):
        kept.copy_(buffer)
