"""Bias, activation, gain and clamp as one operation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from histoxplain._checks import check, check_one_of
from histoxplain.ops._library import define, layout
from histoxplain.ops.activations import ACTIVATIONS, argument, invertible, response, slope, unclamped


def bias_act(
    x: Tensor,
    b: Tensor | None = None,
    dim: int = 1,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
) -> Tensor:
    """`clamp(act(x + b) * gain)`, the last step of every StyleGAN2 layer (Karras et al., 2020).

    Args:
        x: any shape, floating point.
        b: bias of shape `(x.shape[dim],)`.
        dim: the axis of `x` that the bias runs along.
        act: a key of `ACTIVATIONS`.
        alpha: slope below zero of `lrelu`; the activation's default if None.
        gain: factor after the activation; the activation's default (e.g. sqrt 2 for `lrelu`) if None.
        clamp: limit the result to `[-clamp, clamp]`.

    Returns:
        Tensor like `x`.

    Raises:
        InputError: on an unknown activation, a bias of another length, or a negative clamp.

    Example:
        >>> bias_act(torch.tensor([[-1.0, 2.0]]), torch.tensor([0.0, 1.0]), act="lrelu", gain=1)
        tensor([[-0.2000,  3.0000]])
    """
    check_one_of("act", act, ACTIVATIONS)
    check(x.is_floating_point(), "x", "be floating point", x.dtype)
    check(clamp is None or clamp >= 0, "clamp", "be at least 0", clamp)
    if b is not None:
        check(b.shape == (x.shape[dim],), "b", f"have shape ({x.shape[dim]},)", tuple(b.shape))
    alpha = ACTIVATIONS[act].alpha if alpha is None else alpha
    gain = ACTIVATIONS[act].gain if gain is None else gain
    clamp = -1.0 if clamp is None else clamp
    if torch.compiler.is_compiling() or not invertible(alpha, gain):
        return _reference(x, b, dim, act, alpha, gain, clamp)
    return _forward(x, b, dim, act, alpha, gain, clamp)


def along(b: Tensor, x: Tensor, dim: int) -> Tensor:
    """A bias `(x.shape[dim],)` in the type of `x` and a shape that broadcasts to it."""
    return b.to(x.dtype).reshape([-1 if axis == dim % x.ndim else 1 for axis in range(x.ndim)])


def _reference(x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    biased = x if b is None else x + along(b, x, dim)
    y = response(biased, act, alpha, gain, clamp).contiguous(memory_format=layout(x))
    return y.clone() if y is x else y


def _fake(x: Tensor, *_: object) -> Tensor:
    return torch.empty_like(x, memory_format=layout(x))


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, b, *ctx.settings = inputs
    swish = ctx.settings[1] == "swish"
    ctx.save_for_backward(*((x, b) if swish else (output, None)))
    ctx.bias_type = None if b is None else b.dtype


def _gradients(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    (ref, b), dim = ctx.saved_tensors, ctx.settings[0]
    dx = _backward(dy, ref if b is None else ref + along(b, ref, dim), *ctx.settings)
    axes = [axis for axis in range(dx.ndim) if axis != dim % dx.ndim]
    db = (dx.sum(axes, dtype=ctx.bias_type) if axes else dx.to(ctx.bias_type)) if ctx.needs_input_grad[1] else None
    return dx, db, None, None, None, None, None


def _reference_backward(dy: Tensor, ref: Tensor, dim: int, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    return (dy * slope(ref, act, alpha, gain, clamp)).contiguous(memory_format=layout(ref))


def _fake_backward(dy: Tensor, ref: Tensor, *_: object) -> Tensor:
    return torch.empty_like(ref, memory_format=layout(ref))


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    dy, ref, *ctx.settings = inputs
    ctx.save_for_backward(dy, ref)


def _second_gradients(ctx: Any, ddx: Tensor) -> tuple[Tensor | None, ...]:
    """Linear in `dy`; in `ref` by the activation's second derivative."""
    (dy, ref), (_, act, _, gain, clamp) = ctx.saved_tensors, ctx.settings
    d_dy = _backward(ddx, ref, *ctx.settings) if ctx.needs_input_grad[0] else None
    d_ref, bend = None, ACTIVATIONS[act].bend
    if bend is not None and ctx.needs_input_grad[1]:
        curvature = bend(argument(ref, act, gain)) * (gain if act == "swish" else 1)
        d_ref = ddx * dy * unclamped(curvature, ref, act, gain, clamp)
    return d_dy, d_ref, None, None, None, None, None


_backward = define(
    "bias_act_backward(Tensor dy, Tensor ref, int dim, str act, float alpha, float gain, float clamp) -> Tensor",
    _reference_backward,
    _fake_backward,
    _save_backward,
    _second_gradients,
)
_forward = define(
    "bias_act(Tensor x, Tensor? b, int dim, str act, float alpha, float gain, float clamp) -> Tensor",
    _reference,
    _fake,
    _save,
    _gradients,
)
