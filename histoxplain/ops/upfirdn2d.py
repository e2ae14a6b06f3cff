"""Upsample, filter and downsample images with a finite impulse response."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from histoxplain._checks import check

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
    f = torch.ones(1, 1, device=x.device) if f is None else f
    (ux, uy), (dx, dy), (x0, x1, y0, y1) = _pair(up), _pair(down), expand_padding(padding)
    f = f.to(x.dtype) * gain ** (f.ndim / 2)
    f = f if flip_filter else f.flip(list(range(f.ndim)))
    if f.ndim == 2:
        return _filter(x, f, (uy, ux), (dy, dx), (x0, x1, y0, y1))
    x = _filter(x, f[None, :], (1, ux), (1, dx), (x0, x1, 0, 0))
    return _filter(x, f[:, None], (uy, 1), (dy, 1), (0, 0, y0, y1))


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


def _filter(
    x: Tensor, f: Tensor, up: tuple[int, int], down: tuple[int, int], padding: tuple[int, int, int, int]
) -> Tensor:
    """Correlate with `f` `(Th, Tw)`; `up` and `down` are `(y, x)`."""
    channels = x.shape[1]
    weight = f.expand(channels, 1, *f.shape)
    if up != (1, 1):
        x, padding = _transposed(x, weight, up, padding)
        return _keep(_pad(x, padding), down)
    if min(padding) >= 0 and padding[0] == padding[1] and padding[2] == padding[3]:
        around = (padding[2], padding[0])
    else:
        x, around = _pad(x, padding), (0, 0)
    fits = x.shape[2] + 2 * around[0] >= f.shape[0] and x.shape[3] + 2 * around[1] >= f.shape[1]
    check(fits, "padding", "leave at least one sample", padding)
    if f.numel() == 1:
        return _keep(F.pad(x, (around[1], around[1], around[0], around[0])) * f.reshape(()), down)
    return _keep(F.conv2d(x, weight, padding=around, groups=channels), down)


def _transposed(
    x: Tensor, weight: Tensor, up: tuple[int, int], padding: tuple[int, int, int, int]
) -> tuple[Tensor, tuple[int, int, int, int]]:
    """Zero insertion and filter in one transposed convolution; returns the padding that is left to do."""
    height, width = x.shape[2:]
    fh, fw = weight.shape[2:]
    full = F.conv_transpose2d(x, weight.flip([2, 3]), stride=up, groups=x.shape[1])
    extra_y, extra_x = up[0] - 1, up[1] - 1  # the zeros after the last sample
    x0, x1, y0, y1 = padding
    check(height * up[0] + y0 + y1 >= fh and width * up[1] + x0 + x1 >= fw, "padding", "leave a sample", padding)
    return full, (x0 - fw + 1, x1 - fw + 1 + extra_x, y0 - fh + 1, y1 - fh + 1 + extra_y)


def _pad(x: Tensor, padding: tuple[int, int, int, int]) -> Tensor:
    return F.pad(x, padding) if any(padding) else x


def _keep(x: Tensor, down: tuple[int, int]) -> Tensor:
    return x if down == (1, 1) else x[:, :, :: down[0], :: down[1]]
