"""A layer's convolution in one with what surrounds it: styles before it, scale, noise, bias and activation after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import compress
from typing import Any

import torch
from torch import Tensor

from histoxplain.ops._library import define, layout
from histoxplain.ops.activations import ACTIVATIONS
from histoxplain.ops.convolution import (
    NONE,
    convolution,
    convolution_back,
    is_tiled,
    is_wanted,
    tiled_result,
    weight_gradient,
)
from histoxplain.ops.epilogue import epilogue
from histoxplain.ops.pointwise import pays, pointwise

Gradients = list[Tensor | None]
_in_parts = False


@contextmanager
def layers_in_parts() -> Iterator[None]:
    """Layers inside the block keep what gradients of their gradients need, which otherwise compute them once more.

    For a pass forward whose gradient is differentiated again, as for R1 and path length; holds for the whole process.

    Example:
        >>> with layers_in_parts():
        ...     y = convolution_layer(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1))
    """
    global _in_parts
    before, _in_parts = _in_parts, True
    try:
        yield
    finally:
        _in_parts = before


def is_in_parts() -> bool:
    """Whether this is inside `layers_in_parts`."""
    return _in_parts


def convolution_layer(
    x: Tensor,
    w: Tensor,
    style: Tensor | None = None,
    scale: Tensor | None = None,
    noise: Tensor | None = None,
    b: Tensor | None = None,
    act: str = "linear",
    gain: float | None = None,
    clamp: float | None = None,
    stride: int = 1,
    padding: int = 0,
    transposed: bool = False,
) -> Tensor:
    """`epilogue(convolution(epilogue(x, style), w, ...), scale, noise, b, act, None, gain, clamp)`.

    Where a CPU convolves in tiles, nothing but the result passes through memory, and nothing else is kept for the
    gradient. The gradient's own gradient (R1, path length) is that of the parts.

    Args:
        x, w, stride, padding, transposed: see `convolution`.
        style: factor of each channel of `x`, shape `(N, I)`.
        scale, noise, b, act, gain, clamp: see `epilogue`.

    Returns:
        Images of the type of `x`.

    Example:
        >>> convolution_layer(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1), b=torch.tensor([-3.0]), act="relu").item()
        0.0
    """
    if noise is not None and noise.ndim == 2:
        noise = noise[None, None]
    alpha, clamp = ACTIVATIONS[act].alpha, -1.0 if clamp is None else clamp
    gain = ACTIVATIONS[act].gain if gain is None else gain
    at_once = not (_in_parts or torch.compiler.is_compiling()) and is_tiled(x, w, stride, padding, transposed)
    layer = _forward if at_once and gain > 0 else _parts
    return layer(x, w, style, scale, noise, b, act, alpha, gain, clamp, stride, padding, transposed)


def _parts(
    x: Tensor,
    w: Tensor,
    style: Tensor | None,
    scale: Tensor | None,
    noise: Tensor | None,
    b: Tensor | None,
    act: str,
    alpha: float,
    gain: float,
    clamp: float,
    stride: int,
    padding: int,
    transposed: bool,
) -> Tensor:
    if w.shape[2:] == (1, 1) and (stride, padding, transposed) == (1, 0, False) and pays(x, len(w)):
        w = w.flatten(1)
        y = pointwise(x, w.expand(len(x), -1, -1) if style is None else w * style[:, None])
    else:
        y = convolution(x if style is None else epilogue(x, style), w, stride, padding, transposed)
    if _is_bare(scale, noise, b, act, gain, clamp):
        return y
    return epilogue(y, scale, noise, b, act, alpha, gain, None if clamp < 0 else clamp)


def _is_bare(scale: Tensor | None, noise: Tensor | None, b: Tensor | None, act: str, gain: float, clamp: float) -> bool:
    """Whether nothing follows the convolution."""
    return scale is noise is b is None and act == "linear" and gain == 1 and clamp < 0


def _on_cpu(x: Tensor, w: Tensor, *rest: Any) -> Tensor:
    style, scale, noise, b, act, alpha, gain, clamp, stride, padding, transposed = rest
    y = tiled_result(x, w, stride, padding, transposed, NONE)
    if y is None:
        return _parts(x, w, *rest)
    bend = {"linear": 1.0, "relu": 0.0, "lrelu": alpha}[act]
    torch.ops.histoxplain.tiled_layer(x, w, stride, transposed, style, scale, noise, b, bend, gain, clamp, y)
    return y


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.settings = inputs[6:]
    ctx.save_for_backward(*inputs[:6], output)


def _gradients(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    *inputs, y = ctx.saved_tensors
    places = iter(range(len(inputs)))
    asked = [tensor is not None and is_wanted(ctx, next(places)) for tensor in inputs]
    if torch.is_grad_enabled() or not is_tiled(inputs[0], inputs[1], *ctx.settings[-3:]):
        found = _of_parts(dy, inputs, asked, ctx.settings)
    else:
        found = _at_once(dy, inputs, y, asked, ctx.settings)
    return *found, *(None for _ in ctx.settings)


def _of_parts(dy: Tensor, inputs: list[Tensor | None], asked: list[bool], settings: tuple[Any, ...]) -> Gradients:
    """Those that the parts have, which have gradients of their own."""
    differentiated = torch.is_grad_enabled()
    with torch.enable_grad():
        free = [tensor if tensor is None else tensor.view_as(tensor) for tensor in inputs]  # of each other
        y = _parts(*free, *settings)
        found = iter(torch.autograd.grad(y, list(compress(free, asked)), dy, create_graph=differentiated))
    return [next(found) if wanted else None for wanted in asked]


def _at_once(
    dy: Tensor, inputs: list[Tensor | None], y: Tensor, asked: list[bool], settings: tuple[Any, ...]
) -> Gradients:
    (x, w, style, *after), (act, alpha, gain, clamp, *how) = inputs, settings
    g, sums = dy.contiguous(memory_format=layout(y)), [None] * 3
    if not _is_bare(*after, act, gain, clamp):
        g, *sums = torch.ops.histoxplain.epilogue_backward_of_result(g, y, *after, asked[3:], act, alpha, gain, clamp)
    dx, dstyle = _back(g, w, x, style, *how) if asked[0] or asked[2] else (None, None)
    dw = _weight_gradient(g, w, x, style, *how) if asked[1] else None
    if asked[4] and len(after[1]) == 1:
        sums[1] = sums[1].sum(0, keepdim=True)
    found = [dx, dw, dstyle, *(total if wanted else None for total, wanted in zip(sums, asked[3:], strict=True))]
    return [gradient if gradient is None else gradient.to(x.dtype) for gradient, x in zip(found, inputs, strict=True)]


def _back(
    g: Tensor, w: Tensor, x: Tensor, style: Tensor | None, stride: int, padding: int, transposed: bool
) -> tuple[Tensor, Tensor | None]:
    """The gradients of the images and of their styles."""
    if style is None:
        return convolution_back(x, g, w, stride, padding, not transposed), None
    dx = tiled_result(g, w, stride, padding, not transposed, NONE)
    if dx is None or dx.shape != x.shape:
        dx = convolution_back(x, g, w, stride, padding, not transposed)
        return epilogue(dx, style), (dx.float() * x).sum([2, 3])
    dstyle = torch.empty(style.shape)
    torch.ops.histoxplain.tiled_layer_backward(g, w, stride, not transposed, style, x, dx, dstyle)
    return dx, dstyle


def _weight_gradient(
    g: Tensor, w: Tensor, x: Tensor, style: Tensor | None, stride: int, padding: int, transposed: bool
) -> Tensor:
    if style is not None and stride == 1 and not transposed:
        dw = torch.empty(w.shape)
        torch.ops.histoxplain.styled_weight_gradient(x, style, g, dw)
        return dw
    x = x if style is None else epilogue(x, style)
    return weight_gradient(*((g, x) if transposed else (x, g)), w.shape[2:], stride, padding).to(w.dtype)


_forward = define(
    "convolution_layer(Tensor x, Tensor w, Tensor? style, Tensor? scale, Tensor? noise, Tensor? b, str act, "
    "float alpha, float gain, float clamp, int stride, int padding, bool transposed) -> Tensor",
    _parts,
    _parts,
    _save,
    _gradients,
    cpu=_on_cpu,
)
