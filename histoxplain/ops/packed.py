"""Layers of StyleGAN2's generator for inference on a CPU: weights packed once, no copies of activations.

Activations lie as `(N, H + 2, W + 2, C)` in a border of zeros, with channels in multiples of `CHANNELS`. The kernels
exist natively only (csrc/cpu/packed_conv.cpp); `modulated_conv2d`, `bias_act` and `upfirdn2d` say what they compute.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from histoxplain.ops import _native

CHANNELS = 16


def load() -> bool:
    """Whether the kernels can be used; the first call builds or loads them."""
    return _native.load("cpu")


def filled(channels: int) -> int:
    """Channels as they are stored.

    Example:
        >>> filled(3), filled(64)
        (16, 64)
    """
    return -(-channels // CHANNELS) * CHANNELS


def fill(x: Tensor) -> Tensor:
    """Float32 `(..., C)` with zeros up to `filled(C)`, contiguous."""
    return F.pad(x.detach().float(), (0, filled(x.shape[-1]) - x.shape[-1])).contiguous()


def bordered(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Activations `(N, C, H, W)` as the kernels want them."""
    channels = filled(x.shape[1]) - x.shape[1]
    return F.pad(x.detach().to(dtype).permute(0, 2, 3, 1), (0, channels, 1, 1, 1, 1)).contiguous()


def separate(f: Tensor) -> Tensor | None:
    """The four taps whose outer product is the filter `f` of `setup_filter`; None if it is another filter.

    Example:
        >>> from histoxplain.ops import setup_filter
        >>> separate(setup_filter([1, 3, 3, 1]))
        tensor([0.1250, 0.3750, 0.3750, 0.1250])
    """
    if f.ndim == 1:
        return f.float() if len(f) == 4 else None
    total = f.sum()
    if f.shape != (4, 4) or total <= 0:
        return None
    rows, columns = f.sum(1) / total.sqrt(), f.sum(0) / total.sqrt()
    same = torch.allclose(rows, columns) and torch.allclose(torch.outer(rows, columns), f, atol=1e-7)
    return rows.float().contiguous() if same else None


def pack_weight(weight: Tensor, dtype: torch.dtype, up: int = 1, tile: int = 1) -> Tensor:
    """Weights `(O, I, k, k)` as the kernels want them, in float32 or bfloat16.

    Args:
        weight: of a 3x3 convolution, or of a 1x1.
        dtype: of the result.
        up: 2 for a layer that doubles the size.
        tile: multiply tiles of this side of the result by transformed kernels (Lavin & Gray, 2016), which takes fewer
            multiplications: 2 or 4 without `up`, 4 with it; 1 multiplies tap by tap.
    """
    taps = weight[0, 0].numel() if tile == 1 else (tile + 2) ** 2 if up == 1 else 16
    return torch.ops.histoxplain.pack_weight(weight.detach(), dtype == torch.bfloat16, taps, up == 2)


def room(x: Tensor, weight: Tensor, up: int = 1) -> int:
    """Elements of workspace that a layer needs for its input and packed weight."""
    return torch.ops.histoxplain.synthesis_room(x, weight, up == 2)


def synthesis_layer(
    x: Tensor,
    weight: Tensor,
    energy: Tensor,
    styles: Tensor,
    noise: Tensor | None,
    bias: Tensor,
    f: Tensor | None,
    alpha: float,
    gain: float,
    clamp: float,
    workspace: Tensor,
    out: Tensor,
) -> None:
    """Modulated 3x3 convolution, noise, bias, leaky ReLU, gain and clamp, into `out`.

    Args:
        x: activations, see the module, float32 or bfloat16; everything is added up in float32.
        weight: of `pack_weight`, of the type of `x`.
        energy: squared length of each filter by input channel, float32 `(O, I)`, channels filled.
        styles: float32 `(N, I)`, filled.
        noise: float32 `(N or 1, H', W')`.
        bias: float32 `(O,)`, filled.
        f: four taps, times 2, to convolve at twice the size (transposed convolution, then filtered); None keeps it.
        alpha, gain, clamp: see `bias_act`; a negative clamp does not limit.
        workspace: at least `room` elements of the type of `x`; what it holds is lost.
        out: `(N, H' + 2, W' + 2, O)`.
    """
    run = torch.ops.histoxplain.synthesis_layer
    run(x, weight, energy, styles, noise, bias, f, alpha, gain, clamp, workspace, out)


def synthesis_rgb(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    bias: Tensor,
    below: Tensor | None,
    clamp: float,
    workspace: Tensor,
    out: Tensor,
) -> None:
    """Modulated 1x1 convolution to colours without demodulation, plus the image `below`, into `out`.

    Args:
        x, weight, styles, workspace: see `synthesis_layer`.
        bias: float32 `(O,)`, filled.
        below: float32 `(N, colours, H, W)` to add after clamping.
        clamp: limit of the colours before that; negative for none.
        out: float32 `(N, colours, H, W)`.
    """
    torch.ops.histoxplain.synthesis_rgb(x, weight, styles, bias, below, clamp, workspace, out)
