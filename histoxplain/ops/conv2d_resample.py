"""Convolution with filtered up- or downsampling."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from histoxplain._checks import check
from histoxplain.ops._library import compose
from histoxplain.ops.convolution_layer import convolution_layer
from histoxplain.ops.epilogue import epilogue
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
    if groups == 1:
        return resampled_layer(x, w, f, up, down, padding, flip_weight, flip_filter)
    pads = resample_padding(f, padding, up, down)
    x = upfirdn2d(x, f if up > 1 else None, up, padding=pads, flip_filter=flip_filter, gain=up**2)
    x = F.conv2d(x, _oriented(w, flip_weight).to(x.dtype), groups=groups)
    return upfirdn2d(x, f if down > 1 else None, down=down, flip_filter=flip_filter)


def resampled_layer(
    x: Tensor,
    w: Tensor,
    f: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: Padding = 0,
    flip_weight: bool = True,
    flip_filter: bool = False,
    style: Tensor | None = None,
    **after: Any,
) -> Tensor:
    """`epilogue(conv2d_resample(epilogue(x, style), w, f, ...), **after)`, in as few passes over memory as possible.

    Example:
        >>> import torch
        >>> resampled_layer(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 1, 1), b=torch.tensor([-2.0]), act="relu").max()
        tensor(0.)
    """
    kernel, pads = tuple(w.shape[2:]), resample_padding(f, padding, up, down)
    if up == 1 and down == 1 and pads[0] == pads[1] == pads[2] == pads[3] and min(pads) >= 0:
        return convolution_layer(x, _oriented(w, flip_weight), style, **after, padding=pads[0])
    if kernel == (1, 1) and up == 1:
        x = upfirdn2d(x, f, down=down, padding=pads, flip_filter=flip_filter)
        return convolution_layer(x, w, style, **after)
    if kernel == (1, 1) and down == 1:
        x = upfirdn2d(convolution_layer(x, w, style), f, up=up, padding=pads, flip_filter=flip_filter, gain=up**2)
    elif up == 1 and down > 1:
        x = upfirdn2d(x, f, padding=pads, flip_filter=flip_filter)
        return convolution_layer(x, _oriented(w, flip_weight), style, **after, stride=down)
    elif up > 1:
        w = _oriented(w, not flip_weight).transpose(0, 1)
        x = convolution_layer(x, w, style, stride=up, transposed=True)  # zero insertion and convolution in one
        x0, x1, y0, y1 = pads
        rest = (x0 - kernel[1] + 1, x1 - kernel[1] + up, y0 - kernel[0] + 1, y1 - kernel[0] + up)
        x = upfirdn2d(x, f, padding=rest, flip_filter=flip_filter, gain=up**2)
        x = x if down == 1 else upfirdn2d(x, f, down=down, flip_filter=flip_filter)
    else:
        x = convolution_layer(upfirdn2d(x, None, padding=pads), _oriented(w, flip_weight), style)
    return epilogue(x, **after) if after else x


def _oriented(w: Tensor, flip_weight: bool) -> Tensor:
    return w if flip_weight else w.flip([2, 3])


compose(
    "conv2d_resample(Tensor x, Tensor w, Tensor? f=None, int up=1, int down=1, int[4] padding=0, int groups=1, "
    "bool flip_weight=True, bool flip_filter=False) -> Tensor",
    conv2d_resample,
)
