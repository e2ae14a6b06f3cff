"""Layers of StyleGAN2's generator for inference on a CPU: one pass over memory each, no copies of weights that last.

Activations lie as `(N, H + 2, W + 2, C)` in a border of zeros, with channels in multiples of `CHANNELS`. The kernels
exist natively only (csrc/cpu/synthesis_*.cpp); `modulated_conv2d`, `bias_act` and `upfirdn2d` say what they compute.
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
    x, more = x.detach().float(), filled(x.shape[-1]) - x.shape[-1]
    return (F.pad(x, (0, more)) if more else x).contiguous()


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


def affine_maps(ws: Tensor, places: list[int], weights: list[Tensor], biases: list[Tensor], gain: float) -> Tensor:
    """Rows of `ws` `(N, L, D)`, of layer `places[i]` for weight i `(rows, D)`, times weights and gain plus biases.

    Returns float32 `(N, all rows)`. A few vectors take no longer than the weights, which are float32, take to read.
    """
    ws = ws.detach().float().contiguous()
    out = torch.empty(len(ws), sum(map(len, weights)))
    torch.ops.histoxplain.affine_maps(ws, torch.tensor(places), weights, biases, gain, out)
    return out


def room(x: Tensor, weight: Tensor, up: int = 1, tile: int = 2) -> int:
    """Elements of workspace that a layer needs; see `synthesis_layer`."""
    return torch.ops.histoxplain.synthesis_room(x, weight, up == 2, tile)


def synthesis_layer(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    noise: Tensor | None,
    bias: Tensor,
    f: Tensor | None,
    tile: int,
    alpha: float,
    gain: float,
    clamp: float,
    workspace: Tensor,
    out: Tensor,
) -> None:
    """Modulated 3x3 convolution, noise, bias, leaky ReLU, gain and clamp, into `out`.

    Tiles of the image are multiplied by transformed kernels (Lavin & Gray, 2016), which takes fewer multiplications;
    everything is added up in float32.

    Args:
        x: activations, see the module, float32 or bfloat16.
        weight: float32 `(O, I, 3, 3)`, contiguous.
        styles: float32 `(N, I)`, filled.
        noise: float32 `(N or 1, H', W')`.
        bias: float32 `(O,)`, filled.
        f: four taps, times 2, to convolve at twice the size (transposed convolution, then filtered); None keeps it.
        tile: side of a tile of `x`: 2, or 4, which multiplies less and rounds more.
        alpha, gain, clamp: see `bias_act`; a negative clamp does not limit.
        workspace: at least `room` elements of the type of `x`; what it holds is lost.
        out: `(N, H' + 2, W' + 2, O)`.
    """
    torch.ops.histoxplain.synthesis_layer(x, weight, styles, noise, bias, f, tile, alpha, gain, clamp, workspace, out)


def synthesis_rgb(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    bias: Tensor,
    below: Tensor | None,
    f: Tensor,
    clamp: float,
    out: Tensor,
) -> None:
    """Modulated 1x1 convolution to colours without demodulation, plus the image `below` at twice its size, into `out`.

    Args:
        x, styles: see `synthesis_layer`.
        weight: float32 `(colours, I, 1, 1)`, contiguous.
        bias: float32 `(O,)`, filled.
        below: float32 `(N, colours, H / 2, W / 2)` to add after clamping, if any.
        f: four taps, times 2, that make `below` larger; see `upsample2d`.
        clamp: limit of the colours before that; negative for none.
        out: float32 `(N, colours, H, W)`.
    """
    torch.ops.histoxplain.synthesis_rgb(x, weight, styles, bias, below, f, clamp, out)
