"""Layers that translators and discriminators share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DEVIATION = 0.02
"""Of the normal distribution that weights start from (Zhu et al., 2017)."""


def start_small(network: nn.Module, generator: torch.Generator | None = None) -> nn.Module:
    """Draw the weights of convolutions with a deviation of 0.02 and set biases to 0; returns the network."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, DEVIATION, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


def grown(x: Tensor, multiple: int, least: int) -> Tensor:
    """Images with their right and lower borders repeated until both sides are multiples of a number and long enough.

    Example:
        >>> grown(torch.zeros(1, 1, 5, 9), 4, 8).shape
        torch.Size([1, 1, 8, 12])
    """
    height, width = x.shape[-2:]
    down, right = (max(-(-side // multiple) * multiple, least) - side for side in (height, width))
    return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x


def by_class(networks: Sequence[nn.Module], x: Tensor, classes: Tensor) -> Tensor:
    """What each image's network says: `networks[classes[i]](x[i])`, computed in one batch a network."""
    rows = [torch.nonzero(classes == k).flatten() for k in range(len(networks))]
    parts = [network(x[some]) for network, some in zip(networks, rows) if len(some)]
    if len(parts) == 1:
        return parts[0]
    return torch.cat(parts)[torch.cat(rows).argsort()]


def planes(classes: Tensor, count: int, like: Tensor) -> Tensor:
    """Classes `(N,)` as constant one-hot maps `(N, count, H, W)` beside images."""
    return F.one_hot(classes, count).to(like)[:, :, None, None].expand(-1, -1, *like.shape[-2:])
