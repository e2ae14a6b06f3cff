"""Layers with equalised learning rate: weights are drawn from N(0, 1) and scaled when they are used."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn

from histoxplain.ops import setup_filter
from histoxplain.ops.conv2d_resample import resampled_layer
from histoxplain.ops.fully_connected import fully_connected
from histoxplain.ops.modulated_conv2d import modulated_layer

FIR = (1, 3, 3, 1)


def normalize_2nd_moment(x: Tensor) -> Tensor:
    """Scale each row of `(N, D)` to mean square 1.

    Example:
        >>> normalize_2nd_moment(torch.tensor([[3.0, 3.0]])).round()
        tensor([[1., 1.]])
    """
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class FullyConnected(nn.Module):
    """`(N, into) -> (N, out)`."""

    def __init__(self, into: int, out: int, act: str = "linear", lr_mul: float = 1, bias_init: float = 0) -> None:
        super().__init__()
        self.act, self.bias_gain, self.weight_gain = act, lr_mul, lr_mul / sqrt(into)
        self.weight = nn.Parameter(torch.randn(out, into) / lr_mul)
        self.bias = nn.Parameter(torch.full((out,), float(bias_init)))

    def forward(self, x: Tensor) -> Tensor:
        """`act(x @ weight.T + bias)`, with both scaled by the equalised learning rate."""
        slope, gain = (1.0, 1.0) if self.act == "linear" else (0.2, sqrt(2))
        return fully_connected(x, self.weight, self.bias, self.weight_gain, self.bias_gain, slope, gain)


class Convolution(nn.Module):
    """Convolution, optional filtered down- or upsampling, bias and activation."""

    def __init__(
        self,
        into: int,
        out: int,
        kernel: int,
        *,
        bias: bool = True,
        act: str = "linear",
        up: int = 1,
        down: int = 1,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.act, self.up, self.down, self.clamp = act, up, down, clamp
        self.padding, self.weight_gain = kernel // 2, 1 / sqrt(into * kernel**2)
        self.act_gain = sqrt(2) if act == "lrelu" else 1.0
        self.weight = nn.Parameter(torch.randn(out, into, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None
        self.register_buffer("resample_filter", setup_filter(FIR), persistent=False)

    def forward(self, x: Tensor, gain: float = 1) -> Tensor:
        """`(N, into, H, W) -> (N, out, H * up / down, ...)`; `gain` scales the result and its clamp."""
        linear = self.bias is None and self.act == "linear" and self.clamp is None
        weight = self.weight * (self.weight_gain * gain if linear else self.weight_gain)
        f = self.resample_filter
        how = {"flip_weight": self.up == 1}
        if not linear:
            clamp = None if self.clamp is None else self.clamp * gain
            how |= {"b": self.bias, "act": self.act, "gain": self.act_gain * gain, "clamp": clamp}
        return resampled_layer(x, weight, f, self.up, self.down, self.padding, **how)


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU."""

    def __init__(
        self, into: int, out: int, w_dim: int, resolution: int, *, up: int, use_noise: bool, clamp: float | None
    ) -> None:
        super().__init__()
        self.up, self.resolution, self.clamp = up, resolution, clamp
        self.affine = FullyConnected(w_dim, into, bias_init=1)
        self.weight = nn.Parameter(torch.randn(out, into, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out))
        self.register_buffer("resample_filter", setup_filter(FIR), persistent=False)
        self.noise_strength = nn.Parameter(torch.zeros([])) if use_noise else None
        if use_noise:
            self.register_buffer("noise_const", torch.randn(resolution, resolution))

    def noise(self, batch: int, mode: str, generator: torch.Generator | None) -> Tensor | None:
        """The noise image of one pass, broadcastable to `(batch, 1, r, r)`."""
        if self.noise_strength is None or mode == "none":
            return None
        if mode == "const":
            return self.noise_const * self.noise_strength
        shape = (batch, 1, self.resolution, self.resolution)
        return torch.randn(shape, device=self.weight.device, generator=generator) * self.noise_strength

    def forward(
        self, x: Tensor, style: Tensor, noise_mode: str, generator: torch.Generator | None = None, gain: float = 1
    ) -> Tensor:
        """`x` `(N, into, H, W)` and `style` `(N, into)` to `(N, out, H * up, W * up)`."""
        noise = self.noise(len(x), noise_mode, generator)
        clamp = None if self.clamp is None else self.clamp * gain
        after = {"b": self.bias, "act": "lrelu", "gain": sqrt(2) * gain, "clamp": clamp}
        f, flip_weight = self.resample_filter, self.up == 1
        return modulated_layer(x, self.weight, style, noise, self.up, 1, 1, f, flip_weight=flip_weight, **after)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to colours, without demodulation."""

    def __init__(self, into: int, channels: int, w_dim: int, clamp: float | None) -> None:
        super().__init__()
        self.clamp, self.weight_gain = clamp, 1 / sqrt(into)
        self.affine = FullyConnected(w_dim, into, bias_init=1)
        self.weight = nn.Parameter(torch.randn(channels, into, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """`x` `(N, into, H, W)` and `style` `(N, into)` to `(N, channels, H, W)`, float32."""
        x = modulated_layer(x, self.weight, style * self.weight_gain, demodulate=False)
        x = x.float() + self.bias[:, None, None]
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class MinibatchStd(nn.Module):
    """Append the spread over a group of images as a feature map, which shows a discriminator mode collapse."""

    def __init__(self, group_size: int | None, channels: int = 1) -> None:
        super().__init__()
        self.group_size, self.channels = group_size, channels

    def forward(self, x: Tensor, batches: int = 1) -> Tensor:
        """`(N, C, H, W) -> (N, C + channels, H, W)`; images i and i + N / group share a group.

        With several `batches`, one after another, groups are those of each by itself.
        """
        n, c, height, width = x.shape
        each = n // batches
        group = each if self.group_size is None else min(self.group_size, each)
        y = x.reshape(batches, group, each // group, self.channels, c // self.channels, height, width)
        spread = ((y - y.mean(1, keepdim=True)).square().mean(1) + 1e-8).sqrt().mean([3, 4, 5])
        spread = spread[:, None].expand(-1, group, -1, -1).reshape(n, self.channels, 1, 1)
        return torch.cat([x, spread.expand(-1, -1, height, width)], 1)
