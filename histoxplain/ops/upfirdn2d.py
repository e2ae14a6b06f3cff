"""Upsample, filter and downsample images with a finite impulse response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from histoxplain._checks import check
from histoxplain.ops._library import define, layout

Padding = int | Sequence[int]


def setup_filter(
    f: Tensor | Sequence[float] | None,
    normalize: bool = True,
    flip_filter: bool = False,
    gain: float = 1,
    separable: bool | None = None,
) -> Tensor:
    """Prepare a FIR filter for `upfirdn2d`.

    Args:
        f: taps, shape `(T,)` or `(Th, Tw)`; None is the identity.
        normalize: scale the taps to sum to 1.
        flip_filter: store the taps reversed.
        gain: factor on the signal, per pass through the filter.
        separable: keep one-dimensional taps one-dimensional (two passes). Default: from 8 taps on.

    Returns:
        float32 tensor, `(T,)` if separable else `(Th, Tw)`.

    Example:
        >>> setup_filter([1, 3, 3, 1])[1] * 64
        tensor([3., 9., 9., 3.])
    """
    f = torch.as_tensor([1.0] if f is None else f, dtype=torch.float32)
    f = f[None] if f.ndim == 0 else f
    check(f.ndim in (1, 2) and f.numel() > 0, "f", "be a filter with one or two axes", tuple(f.shape))
    separable = (f.ndim == 1 and f.numel() >= 8) if separable is None else separable
    if f.ndim == 1 and not separable:
        f = torch.outer(f, f)
    f = f / f.sum() if normalize else f
    f = f.flip(list(range(f.ndim))) if flip_filter else f
    return f * gain ** (f.ndim / 2)


def upfirdn2d(
    x: Tensor,
    f: Tensor | None,
    up: int | Sequence[int] = 1,
    down: int | Sequence[int] = 1,
    padding: Padding = 0,
    flip_filter: bool = False,
    gain: float = 1,
) -> Tensor:
    """Insert zeros, pad or crop, filter, keep every `down`-th sample.

    Args:
        x: images, shape `(N, C, H, W)`.
        f: filter of `setup_filter`, `(Th, Tw)` or separable `(T,)`; None is the identity.
        up: zeros inserted after each sample are `up - 1`; an integer or `(x, y)`.
        down: stride of the result; an integer or `(x, y)`.
        padding: an integer, `(x, y)` or `(x0, x1, y0, y1)`, relative to the upsampled image; negative crops.
        flip_filter: correlate instead of convolve.
        gain: factor on the result.

    Returns:
        `(N, C, (H * up + y0 + y1 - Th) // down + 1, likewise for W)`.

    Raises:
        InputError: if `x` is not `(N, C, H, W)` or the padding leaves nothing.

    Example:
        >>> upfirdn2d(torch.ones(1, 1, 2, 2), setup_filter([1, 1]), up=2, padding=(1, 0, 1, 0), gain=4)[0, 0, 0]
        tensor([1., 1., 1., 1.])
    """
    check(x.ndim == 4, "x", "have shape (N, C, H, W)", tuple(x.shape))
    check(x.is_floating_point(), "x", "be floating point", x.dtype)
    f = torch.ones(1, 1, device=x.device) if f is None else f
    up, down, padding = _pair(up), _pair(down), expand_padding(padding)
    check(min(_size(x, f, up, down, padding)) >= 1, "padding", "leave at least one sample", padding)
    if f.requires_grad and torch.is_grad_enabled():  # rare: the filters of StyleGAN2 are fixed
        return _reference(x, f, up, down, padding, flip_filter, gain)
    return _forward(x, f, up, down, padding, flip_filter, gain)


def upsample2d(
    x: Tensor, f: Tensor, up: int = 2, padding: Padding = 0, flip_filter: bool = False, gain: float = 1
) -> Tensor:
    """Enlarge by an integer factor, filtered so that brightness and position stay.

    Example:
        >>> upsample2d(torch.ones(1, 1, 4, 4), setup_filter([1, 3, 3, 1]))[0, 0, 3, 3]
        tensor(1.)
    """
    return upfirdn2d(x, f, up, 1, _around(f, padding, up, 1), flip_filter, gain * up * up)


def downsample2d(
    x: Tensor, f: Tensor, down: int = 2, padding: Padding = 0, flip_filter: bool = False, gain: float = 1
) -> Tensor:
    """Shrink by an integer factor after filtering.

    Example:
        >>> downsample2d(torch.ones(1, 1, 8, 8), setup_filter([1, 3, 3, 1])).shape
        torch.Size([1, 1, 4, 4])
    """
    return upfirdn2d(x, f, 1, down, _around(f, padding, 1, down), flip_filter, gain)


def filter2d(x: Tensor, f: Tensor, padding: Padding = 0, flip_filter: bool = False, gain: float = 1) -> Tensor:
    """Filter without changing the size.

    Example:
        >>> filter2d(torch.ones(1, 1, 5, 5), setup_filter([1, 2, 1]))[0, 0, 0, 0] * 16
        tensor(9.)
    """
    (fh, fw), (x0, x1, y0, y1) = filter_size(f), expand_padding(padding)
    around = (x0 + fw // 2, x1 + (fw - 1) // 2, y0 + fh // 2, y1 + (fh - 1) // 2)
    return upfirdn2d(x, f, 1, 1, around, flip_filter, gain)


def filter_size(f: Tensor | None) -> tuple[int, int]:
    """Height and width of a filter; a separable one is square."""
    return (1, 1) if f is None else (f.shape[0], f.shape[-1])


def expand_padding(padding: Padding) -> tuple[int, int, int, int]:
    """One, two or four numbers as `(x0, x1, y0, y1)`."""
    if isinstance(padding, int):
        return (padding,) * 4
    check(len(padding) in (2, 4), "padding", "be one, two or four integers", list(padding))
    if len(padding) == 2:
        return padding[0], padding[0], padding[1], padding[1]
    return tuple(padding)


def resample_padding(f: Tensor | None, padding: Padding, up: int, down: int) -> tuple[int, int, int, int]:
    """The padding that keeps an image in place while it is resampled by `up` and `down`."""
    return _around(f, padding, up, down)


def _around(f: Tensor | None, padding: Padding, up: int, down: int) -> tuple[int, int, int, int]:
    x0, x1, y0, y1 = expand_padding(padding)
    fh, fw = filter_size(f)
    if up > 1:
        x0, x1, y0, y1 = x0 + (fw + up - 1) // 2, x1 + (fw - up) // 2, y0 + (fh + up - 1) // 2, y1 + (fh - up) // 2
    if down > 1:
        x0, x1 = x0 + (fw - down + 1) // 2, x1 + (fw - down) // 2
        y0, y1 = y0 + (fh - down + 1) // 2, y1 + (fh - down) // 2
    return x0, x1, y0, y1


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _size(x: Tensor, f: Tensor, up: Sequence[int], down: Sequence[int], padding: Sequence[int]) -> tuple[int, int]:
    """Height and width of the result."""
    (fh, fw), (x0, x1, y0, y1) = filter_size(f), padding
    height = (x.shape[2] * up[1] + y0 + y1 - fh) // down[1] + 1
    return height, (x.shape[3] * up[0] + x0 + x1 - fw) // down[0] + 1


def _reference(
    x: Tensor, f: Tensor, up: Sequence[int], down: Sequence[int], padding: Sequence[int], flip: bool, gain: float
) -> Tensor:
    if 0 in x.shape[:2]:
        return _fake(x, f, up, down, padding, flip, gain)
    (ux, uy), (dx, dy), (x0, x1, y0, y1) = up, down, padding
    f = f.to(x.dtype) * gain ** (f.ndim / 2)
    f = f if flip else f.flip(list(range(f.ndim)))
    if f.ndim == 2:
        y = _filter(x, f, (uy, ux), (dy, dx), (x0, x1, y0, y1))
    else:
        y = _filter(x, f[None, :], (1, ux), (1, dx), (x0, x1, 0, 0))
        y = _filter(y, f[:, None], (uy, 1), (dy, 1), (0, 0, y0, y1))
    return y.contiguous(memory_format=layout(x))


def _fake(
    x: Tensor, f: Tensor, up: Sequence[int], down: Sequence[int], padding: Sequence[int], flip: bool, gain: float
) -> Tensor:
    shape = (*x.shape[:2], *_size(x, f, up, down, padding))
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout(x))


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, f, *ctx.settings = inputs
    ctx.size = x.shape[2:]
    ctx.save_for_backward(f)


def _gradients(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    """The transpose of the operation: up and down change places, and the filter turns round.

    Raises:
        RuntimeError: if the filter asks for a gradient; `upfirdn2d` computes it without the op.
    """
    if ctx.needs_input_grad[1]:
        raise RuntimeError("the op upfirdn2d has no gradient for its filter; call `histoxplain.ops.upfirdn2d`")
    (f,), (up, down, padding, flip, gain) = ctx.saved_tensors, ctx.settings
    fh, fw = filter_size(f)
    x0, x1 = _transposed_padding(ctx.size[1], dy.shape[3], up[0], down[0], padding[0], fw)
    y0, y1 = _transposed_padding(ctx.size[0], dy.shape[2], up[1], down[1], padding[2], fh)
    return _forward(dy, f, down, up, (x0, x1, y0, y1), not flip, gain), None, None, None, None, None, None


def _transposed_padding(into: int, out: int, up: int, down: int, before: int, taps: int) -> tuple[int, int]:
    """Padding, before and after, that leads back from `out` samples to `into`."""
    return taps - 1 - before, into * up - out * down + before - up + 1


def _filter(
    x: Tensor, f: Tensor, up: tuple[int, int], down: tuple[int, int], padding: tuple[int, int, int, int]
) -> Tensor:
    """Correlate with `f` `(Th, Tw)`; `up` and `down` are `(y, x)`."""
    channels = x.shape[1]
    weight = f.expand(channels, 1, *f.shape)
    if up != (1, 1):
        x, padding = _transposed(x, weight, up, padding)
        return _pad(x, padding)[:, :, :: down[0], :: down[1]]
    if min(padding) >= 0 and padding[0] == padding[1] and padding[2] == padding[3]:
        around = (padding[2], padding[0])
    else:
        x, around = _pad(x, padding), (0, 0)
    if f.numel() == 1:
        x = _pad(x, (around[1], around[1], around[0], around[0]))
        return x[:, :, :: down[0], :: down[1]] * f.reshape(())
    return F.conv2d(x, weight, stride=down, padding=around, groups=channels)


def _transposed(
    x: Tensor, weight: Tensor, up: tuple[int, int], padding: tuple[int, int, int, int]
) -> tuple[Tensor, tuple[int, int, int, int]]:
    """Zero insertion and filter in one transposed convolution; returns the padding that is left to do."""
    fh, fw = weight.shape[2:]
    full = F.conv_transpose2d(x, weight.flip([2, 3]), stride=up, groups=x.shape[1])
    extra_y, extra_x = up[0] - 1, up[1] - 1  # the zeros after the last sample
    x0, x1, y0, y1 = padding
    return full, (x0 - fw + 1, x1 - fw + 1 + extra_x, y0 - fh + 1, y1 - fh + 1 + extra_y)


def _pad(x: Tensor, padding: tuple[int, int, int, int]) -> Tensor:
    return F.pad(x, padding) if any(padding) else x


_forward = define(
    "upfirdn2d(Tensor x, Tensor f, int[] up, int[] down, int[] padding, bool flip, float gain) -> Tensor",
    _reference,
    _fake,
    _save,
    _gradients,
)
