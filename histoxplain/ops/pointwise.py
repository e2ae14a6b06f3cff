"""1x1 convolutions between the many channels of a network and the few of an image, with weights for each image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from histoxplain.ops import _native, packed
from histoxplain.ops._library import compute_type, define, layout
from histoxplain.ops.convolution import is_wanted

FEW = 4
"""Channels that an image may have for the CPU's kernel."""


def pointwise(x: Tensor, w: Tensor) -> Tensor:
    """The products of each pixel's channels and a matrix, in one pass over memory.

    Bilinear in `x` and `w`, and so are the gradients: two ops that are each other's derivatives.

    Args:
        x: images, shape `(N, I, H, W)`, floating point.
        w: matrices, shape `(N, O, I)`; float32 beside bfloat16 images is fine, and not rounded.

    Returns:
        `(N, O, H, W)` in the type of `x`; channels last if `x` is.

    Example:
        >>> pointwise(torch.ones(1, 2, 1, 1), torch.tensor([[[3.0, 4.0]]])).item()
        7.0
    """
    return _forward(x, w, _is_last(x))


def pays(x: Tensor, out: int) -> bool:
    """Whether there is a kernel from `x` to `out` channels, which is faster than torch's convolution."""
    if torch.compiler.is_compiling() or x.device.type != "cpu" or x.dtype not in (torch.float32, torch.bfloat16):
        return False
    many, few = max(x.shape[1], out), min(x.shape[1], out)
    return few <= FEW and many % packed.CHANNELS == 0 and _is_last(x) and _native.load("cpu")


def _is_last(x: Tensor) -> bool:
    """One channel lies as if it were the last in any case."""
    return layout(x) == torch.channels_last or (x.shape[1] == 1 and x.is_contiguous())


def _format(last: bool) -> torch.memory_format:
    return torch.channels_last if last else torch.contiguous_format


def _reference(x: Tensor, w: Tensor, last: bool) -> Tensor:
    y = torch.matmul(w.to(x.dtype), x.flatten(2)).unflatten(2, x.shape[2:])
    return y.contiguous(memory_format=_format(last))


def _fake(x: Tensor, w: Tensor, last: bool) -> Tensor:
    shape = (x.shape[0], w.shape[1], *x.shape[2:])
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=_format(last))


def _on_cpu(x: Tensor, w: Tensor, last: bool) -> Tensor:
    if not (last and pays(x, w.shape[1])):
        return _reference(x, w, last)
    y = _fake(x, w, last)
    torch.ops.histoxplain.native_pointwise(x, w, y)
    return y


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, w, ctx.last = inputs
    ctx.save_for_backward(x, w)


def _gradients(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    x, w = ctx.saved_tensors
    dy = dy.contiguous(memory_format=_format(ctx.last))
    dx = _forward(dy, w.transpose(1, 2), _is_last(x)) if is_wanted(ctx, 0) else None
    dw = _weight_gradient(x, dy).to(w.dtype) if is_wanted(ctx, 1) else None
    return dx, dw, None


def _reference_weight_gradient(x: Tensor, dy: Tensor) -> Tensor:
    kind = compute_type(x)
    return torch.matmul(dy.to(kind).flatten(2), x.to(kind).flatten(2).transpose(1, 2))


def _fake_weight_gradient(x: Tensor, dy: Tensor) -> Tensor:
    return x.new_empty((x.shape[0], dy.shape[1], x.shape[1]), dtype=compute_type(x))


def _weight_gradient_on_cpu(x: Tensor, dy: Tensor) -> Tensor:
    if not (pays(x, dy.shape[1]) and _is_last(dy) and x.dtype == dy.dtype):
        return _reference_weight_gradient(x, dy)
    dw = _fake_weight_gradient(x, dy)
    torch.ops.histoxplain.native_pointwise_weight_gradient(x, dy, dw)
    return dw


def _save_pair(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradients_of_weight_gradient(ctx: Any, ddw: Tensor) -> tuple[Tensor | None, ...]:
    x, dy = ctx.saved_tensors
    d_x = _forward(dy, ddw.transpose(1, 2), _is_last(x)).to(x.dtype) if is_wanted(ctx, 0) else None
    d_dy = _forward(x, ddw, _is_last(dy)).to(dy.dtype) if is_wanted(ctx, 1) else None
    return d_x, d_dy


_weight_gradient = define(
    "pointwise_weight_gradient(Tensor x, Tensor dy) -> Tensor",
    _reference_weight_gradient,
    _fake_weight_gradient,
    _save_pair,
    _gradients_of_weight_gradient,
    cpu=_weight_gradient_on_cpu,
)
_forward = define(
    "pointwise(Tensor x, Tensor w, bool last) -> Tensor",
    _reference,
    _fake,
    _save,
    _gradients,
    cpu=_on_cpu,
)
