"""Convolution whose gradients of any order are convolutions and weight gradients, never grouped ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter

from histoxplain._device import cpu_has_fast_bfloat16
from histoxplain.ops import packed
from histoxplain.ops._library import compute_type, define, kernels_are_there, layout

NONE = (0, 0)
LEAST_SPLIT = 256
"""Channels from which a few more than whole blocks, as a discriminator's 512 + 1, are convolved apart."""


def convolution(x: Tensor, w: Tensor, stride: int = 1, padding: int = 0, transposed: bool = False) -> Tensor:
    """`conv2d` or `conv_transpose2d` in the type of `x`, with the weight's gradient in the type of the weight.

    Bilinear in `x` and `w`, and so are the gradients: three ops that are each other's derivatives. torch's own second
    derivative goes through transposed copies, image by image.

    On a CPU large 3x3 convolutions go by tiles of 4x4 (Lavin & Gray, 2016), which in bfloat16 are off by 1.2 % of the
    result's spread, three times as much as without, and in float32 by a millionth.

    Args:
        x: images, shape `(N, I, H, W)`, floating point; channels last is fastest.
        w: weight, shape `(O, I, kh, kw)`, or `(I, O, kh, kw)` if transposed; float32 beside bfloat16 images is fine.
        stride, padding: as torch has them.
        transposed: the transposed convolution.

    Returns:
        `(N, O, H', W')`; channels last if `x` is.

    Example:
        >>> convolution(torch.ones(1, 2, 4, 4), torch.ones(3, 2, 3, 3), padding=1)[0, 0, 1]
        tensor([12., 18., 18., 12.])
    """
    if torch.compiler.is_compiling():
        return _reference(x, w, stride, padding, transposed, NONE)
    return _forward(x, w, stride, padding, transposed, NONE)


def _reference(x: Tensor, w: Tensor, stride: int, padding: int, transposed: bool, rest: Sequence[int]) -> Tensor:
    w = w.to(x.dtype)
    y = F.conv_transpose2d(x, w, None, stride, padding, rest) if transposed else F.conv2d(x, w, None, stride, padding)
    return y.contiguous(memory_format=layout(x))


def _on_cpu(x: Tensor, w: Tensor, stride: int, padding: int, transposed: bool, rest: Sequence[int]) -> Tensor:
    """In tiles, which takes fewer multiplications, where that pays."""
    y = tiled_result(x, w, stride, padding, transposed, rest)
    if y is not None:
        torch.ops.histoxplain.tiled_convolution(x, w, stride, transposed, y)
        return y
    how, (whole, few) = (stride, padding, transposed, rest), _blocks(w)
    if not few.numel() or min(whole.shape[:2]) < LEAST_SPLIT:
        return _reference(x, w, *how)
    own = x if transposed else x[:, : whole.shape[1]].contiguous(memory_format=layout(x))
    if not is_tiled(own, whole, *how):
        return _reference(x, w, *how)
    if transposed:
        return torch.cat([_on_cpu(x, whole, *how), _reference(x, few, *how)], 1)
    return _on_cpu(own, whole, *how).add_(_reference(x[:, whole.shape[1] :], few, *how))


def _blocks(w: Tensor) -> tuple[Tensor, Tensor]:
    """A weight's part for whole blocks along its second axis, and for the rest."""
    whole = w.shape[1] // packed.CHANNELS * packed.CHANNELS
    return w[:, :whole], w[:, whole:]


def is_tiled(x: Tensor, w: Tensor, stride: int, padding: int, transposed: bool, rest: Sequence[int] = NONE) -> bool:
    """Whether a CPU has kernels for these shapes that are faster than torch's."""
    if type(x) not in (Tensor, Parameter) or x.device.type != "cpu":  # what is traced has no values, nor sizes perhaps
        return False
    if not _tiles_pay(x.dtype, x.shape, w.shape, (stride, padding, *rest), transposed):
        return False
    return layout(x) == torch.channels_last and kernels_are_there("cpu")


@lru_cache
def _tiles_pay(dtype: torch.dtype, x: torch.Size, w: torch.Size, how: tuple[int, ...], transposed: bool) -> bool:
    if how not in ((1, 1, 0, 0), (2, 0, 0, 0)):
        return False
    fast = dtype == torch.float32 or (dtype == torch.bfloat16 and cpu_has_fast_bfloat16())
    whole = w[0] % packed.CHANNELS == 0 and w[1] % packed.CHANNELS == 0 and w[2:] == (3, 3)
    large = min(w[:2]) >= 32 and x[0] * x[2] * x[3] >= (256 if dtype == torch.float32 else 16)
    return fast and whole and large and (how[0] == 1 or transposed or min(x[2:]) >= 5)


def tiled_result(
    x: Tensor, w: Tensor, stride: int, padding: int, transposed: bool, rest: Sequence[int]
) -> Tensor | None:
    """Where the kernels write, channels last: of the size of `x`, half of it, or twice that and a pixel; or None."""
    if not is_tiled(x, w, stride, padding, transposed, rest):
        return None
    sides = x.shape[2:] if stride == 1 else [2 * side + 1 if transposed else (side - 1) // 2 for side in x.shape[2:]]
    shape = (len(x), w.shape[1 if transposed else 0], *sides)
    return torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, w, *ctx.settings = inputs
    ctx.save_for_backward(x, w)


def _gradients(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    (x, w), (stride, padding, transposed, _) = ctx.saved_tensors, ctx.settings
    dy, dx, dw = dy.contiguous(memory_format=layout(x)), None, None  # few channels of `dy` may make many of `dx`
    if is_wanted(ctx, 0):
        dx = convolution_back(x, dy, w, stride, padding, not transposed)
    if is_wanted(ctx, 1):
        pair = (dy, x) if transposed else (x, dy)
        dw = weight_gradient(*pair, w.shape[2:], stride, padding).to(w.dtype)
    return dx, dw, None, None, None, None


def is_wanted(ctx: Any, position: int) -> bool:
    """Whether this pass backward asks for the gradient of an input tensor: R1 and path length do not for weights."""
    node = ctx.next_functions[position][0]
    if node is None:
        return False
    try:
        return torch._C._will_engine_execute_node(node)
    except RuntimeError:  # a leaf whose gradient is what the caller asked for
        return True


def convolution_back(x: Tensor, dy: Tensor, w: Tensor, stride: int, padding: int, transposed: bool) -> Tensor:
    """The gradient of a convolution's images `x`: one of `dy`, `transposed` if the convolution was not."""
    rest = [0, 0]
    if transposed:
        rest = [x.shape[i] - ((dy.shape[i] - 1) * stride - 2 * padding + w.shape[i]) for i in (2, 3)]
    return _forward(dy, w, stride, padding, transposed, rest)


def _reference_weight_gradient(x: Tensor, dy: Tensor, kernel: Sequence[int], stride: int, padding: int) -> Tensor:
    w = x.new_empty(1).expand(dy.shape[1], x.shape[1], *kernel)
    settings = ([stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, [False, True, False])
    dw = torch.ops.aten.convolution_backward(dy.to(x.dtype), x, w, None, *settings)[1]
    return dw.to(compute_type(x)).contiguous()


def _fake_weight_gradient(x: Tensor, dy: Tensor, kernel: Sequence[int], *_: object) -> Tensor:
    return x.new_empty((dy.shape[1], x.shape[1], *kernel), dtype=compute_type(x))


def _save_pair(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, dy, _, *ctx.settings = inputs
    ctx.save_for_backward(x, dy)


def _gradients_of_weight_gradient(ctx: Any, ddw: Tensor) -> tuple[Tensor | None, ...]:
    (x, dy), (stride, padding) = ctx.saved_tensors, ctx.settings
    d_x = convolution_back(x, dy, ddw, stride, padding, True).to(x.dtype) if is_wanted(ctx, 0) else None
    d_dy = _forward(x, ddw, stride, padding, False, NONE).to(dy.dtype) if is_wanted(ctx, 1) else None
    return d_x, d_dy, None, None, None


weight_gradient = define(
    "convolution_weight_gradient(Tensor x, Tensor dy, int[] kernel, int stride, int padding) -> Tensor",
    _reference_weight_gradient,
    _fake_weight_gradient,
    _save_pair,
    _gradients_of_weight_gradient,
)
_forward = define(
    "convolution(Tensor x, Tensor w, int stride, int padding, bool transposed, int[] rest) -> Tensor",
    _reference,
    _reference,
    _save,
    _gradients,
    cpu=_on_cpu,
)
