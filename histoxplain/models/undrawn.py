"""Networks whose weights are about to be read: made without drawing any."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class Undrawn(TorchFunctionMode):
    """Within the block, `torch.randn` gives tensors on the device "meta": shapes without numbers, which take no memory.

    They may be divided by numbers. Everything else is computed, so that filters are what they should be, and
    `load_state_dict(state, assign=True)` then puts real tensors in place. `torch.device("meta")` would import the
    compiler for this: a second, and 80 MB.

    Example:
        >>> with Undrawn():
        ...     layer = torch.randn(10**6, 10**6)
        >>> layer.device.type, layer.shape
        ('meta', torch.Size([1000000, 1000000]))
    """

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Called for every operation."""
        if func is torch.randn:
            return torch.empty(*args, device="meta")
        if func is torch.Tensor.div and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))
