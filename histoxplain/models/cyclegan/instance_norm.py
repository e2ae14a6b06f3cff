"""Instance normalisation that leaves channels-last memory as it is, where torch's own copies it there and back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

EPSILON = 1e-5


class InstanceNorm(nn.Module):
    """Each channel of each image to mean 0 and variance 1, then scaled and shifted (Ulyanov et al., 2016).

    Args:
        channels: of the features.

    Example:
        >>> InstanceNorm(1)(torch.tensor([[[[1.0, 3.0]]]])).tolist()
        [[[[-0.99999..., 0.99999...]]]]
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Features `(N, C, H, W)` of any floating type; moments are float32 at least."""
        with torch.autocast(x.device.type, enabled=False):
            return _InstanceNorm.apply(x, self.weight, self.bias)


class _InstanceNorm(torch.autograd.Function):
    """With moments m and r = 1 / deviation: y = r w x + (b - m r w)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        flat, wide = _flat(x), torch.promote_types(x.dtype, torch.float32)
        mean = flat.mean(1, dtype=wide)
        power = torch.linalg.vector_norm(flat, dim=1, dtype=wide).square() / flat.shape[1]
        rate = (power - mean * mean).clamp_min(0).add(EPSILON).rsqrt()
        ctx.save_for_backward(flat, mean, rate, weight)
        scale = rate * weight
        return _image(_affine(flat, scale, bias - mean * scale), x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        flat, mean, rate, weight = ctx.saved_tensors
        slope = _flat(gradient)
        total = slope.sum(1, dtype=mean.dtype)
        along = ((slope * flat).sum(1, dtype=mean.dtype) - mean * total) * rate  # the normalised features' share
        scale = rate * weight
        tilt = -scale * rate * along / flat.shape[1]
        dx = _affine(slope, scale, -scale * total / flat.shape[1] - mean * tilt)
        dx = torch.addcmul(dx, flat, tilt[:, None].to(dx.dtype))
        return _image(dx, gradient), along.sum(0), total.sum(0)


def _flat(x: Tensor) -> Tensor:
    """`(N, C, H, W)` as `(N, H * W, C)`, without a copy where memory is channels-last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _image(flat: Tensor, like: Tensor) -> Tensor:
    return flat.unflatten(1, like.shape[2:]).permute(0, 3, 1, 2)


def _affine(flat: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    return torch.addcmul(offset[:, None].to(flat.dtype), flat, scale[:, None].to(flat.dtype))
