"""Convolution with filtered up- or downsampling."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from histoxplain._checks import check
from histoxplain.ops._library import compose
from histoxplain.ops.convolution import convolution
from histoxplain.ops.upfirdn2d import Padding, resample_padding, upfirdn2d


def conv2d_resample(
    x: Tensor,
    w: Tensor,
    f: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: Padding = 0,
    groups: int = 1,
    flip_weight: bool = True,
    flip_filter: bool = False,
) -> Tensor:
    """Upsample, convolve, downsample, with the cheapest equivalent order of operations.

    Args:
        x: images, shape `(N, C, H, W)`.
        w: weight, shape `(O, C // groups, kh, kw)`; used in the type of `x`, its gradient keeps its own.
        f: filter of `setup_filter` for the resampling; None is the identity.
        up: integer factor of upsampling before the convolution.
        down: integer factor of downsampling after it.
        padding: relative to the upsampled image; see `upfirdn2d`.
        groups: of the convolution.
        flip_weight: True is correlation (what `torch.nn.functional.conv2d` does), False true convolution.
        flip_filter: see `upfirdn2d`.

    Returns:
        `(N, O, H * up // down, W * up // down)` for `padding = kernel // 2`.

    Raises:
        InputError: if the weight does not fit the images.

    Example:
        >>> import torch
        >>> conv2d_resample(torch.zeros(1, 2, 8, 8), torch.zeros(3, 2, 3, 3), down=2, padding=1).shape
        torch.Size([1, 3, 4, 4])
    """
    check(x.ndim == 4, "x", "have shape (N, C, H, W)", tuple(x.shape))
    check(x.is_floating_point(), "x", "be floating point", x.dtype)
    check(w.ndim == 4 and w.shape[1] * groups == x.shape[1], "w", f"have {x.shape[1]} input channels", tuple(w.shape))
    kernel = w.shape[2:]
    pads = resample_padding(f, padding, up, down)
    if up == 1 and down == 1 and pads[0] == pads[1] and pads[2] == pads[3] and min(pads) >= 0:
        return _convolution(x, _oriented(w, flip_weight), groups, padding=(pads[2], pads[0]))
    if tuple(kernel) == (1, 1) and up == 1:
        x = upfirdn2d(x, f, down=down, padding=pads, flip_filter=flip_filter)
        return _convolution(x, w, groups)
    if tuple(kernel) == (1, 1) and down == 1:
        x = _convolution(x, w, groups)
        return upfirdn2d(x, f, up=up, padding=pads, flip_filter=flip_filter, gain=up**2)
    if up == 1 and down > 1:
        x = upfirdn2d(x, f, padding=pads, flip_filter=flip_filter)
        return _convolution(x, _oriented(w, flip_weight), groups, stride=down)
    if up > 1:
        x = _transposed_convolution(x, _oriented(w, not flip_weight), up, groups)
        x0, x1, y0, y1 = pads
        rest = (x0 - kernel[1] + 1, x1 - kernel[1] + up, y0 - kernel[0] + 1, y1 - kernel[0] + up)
        x = upfirdn2d(x, f, padding=rest, flip_filter=flip_filter, gain=up**2)
        return x if down == 1 else upfirdn2d(x, f, down=down, flip_filter=flip_filter)
    x = upfirdn2d(x, None, padding=pads)
    return _convolution(x, _oriented(w, flip_weight), groups)


def _oriented(w: Tensor, flip_weight: bool) -> Tensor:
    return w if flip_weight else w.flip([2, 3])


def _convolution(x: Tensor, w: Tensor, groups: int, stride: int = 1, padding: tuple[int, int] = (0, 0)) -> Tensor:
    if groups == 1 and padding[0] == padding[1]:
        return convolution(x, w, stride, padding[0])
    return F.conv2d(x, w.to(x.dtype), None, stride, padding, 1, groups)


def _transposed_convolution(x: Tensor, w: Tensor, stride: int, groups: int) -> Tensor:
    """Zero insertion and convolution in one; `w` is `(O, I // groups, kh, kw)`."""
    if groups == 1:
        return convolution(x, w.transpose(0, 1), stride, transposed=True)
    out, into = w.shape[:2]
    w = w.to(x.dtype).reshape(groups, out // groups, into, *w.shape[2:]).transpose(1, 2)
    return F.conv_transpose2d(x, w.reshape(groups * into, out // groups, *w.shape[3:]), stride=stride, groups=groups)


compose(
    "conv2d_resample(Tensor x, Tensor w, Tensor? f=None, int up=1, int down=1, int[4] padding=0, int groups=1, "
    "bool flip_weight=True, bool flip_filter=False) -> Tensor",
    conv2d_resample,
)
