"""A fully connected layer with its bias and activation: one call each way in place of five and ten."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from histoxplain.ops._library import compute_type, define
from histoxplain.ops.convolution import is_wanted


def fully_connected(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    weight_gain: float = 1,
    bias_gain: float = 1,
    slope: float = 1,
    gain: float = 1,
) -> Tensor:
    """`gain * leaky_relu(weight_gain * x @ weight.T + bias_gain * bias, slope)`, shape `(N, O)`.

    Args:
        x: shape `(N, I)`, floating point; the result has its type.
        weight: shape `(O, I)`.
        bias: shape `(O,)`.
        weight_gain, bias_gain: of the equalised learning rate.
        slope: of the activation below zero; 1 is linear.
        gain: of the result, positive.

    Example:
        >>> fully_connected(torch.ones(1, 2), torch.ones(3, 2), torch.tensor([0.0, 1.0, -3.0]), slope=0.5)
        tensor([[ 2.0000,  3.0000, -0.5000]])
    """
    run = _reference if torch.compiler.is_compiling() else _forward
    return run(x, weight, bias, weight_gain, bias_gain, slope, gain)


def _reference(
    x: Tensor, weight: Tensor, bias: Tensor, weight_gain: float, bias_gain: float, slope: float, gain: float
) -> Tensor:
    kind = compute_type(x)
    bias = bias.to(kind) if bias_gain == 1 else bias.to(kind) * bias_gain
    y = torch.addmm(bias, x.to(kind), weight.to(kind).T, alpha=weight_gain)
    return (y if slope == gain == 1 else torch.nn.functional.leaky_relu(y, slope) * gain).to(x.dtype)


def _fake(x: Tensor, weight: Tensor, *_: object) -> Tensor:
    return x.new_empty((len(x), len(weight)))


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, _, *ctx.settings = inputs
    ctx.save_for_backward(output, x, weight)


def _gradients(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    wanted = [is_wanted(ctx, position) for position in range(3)]
    back = _reference_backward if torch.is_grad_enabled() else _backward  # R1 and path length differentiate once more
    found = back(dy, *ctx.saved_tensors, *ctx.settings, wanted)
    return *(gradient if asked else None for gradient, asked in zip(found, wanted, strict=True)), *[None] * 4


def _reference_backward(
    dy: Tensor,
    y: Tensor,
    x: Tensor,
    weight: Tensor,
    weight_gain: float,
    bias_gain: float,
    slope: float,
    gain: float,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    kind = compute_type(x)
    g = dy.to(kind)
    g = g if slope == gain == 1 else torch.where(y > 0, g * gain, g * (gain * slope))
    dx = (g @ weight.to(kind) * weight_gain).to(x.dtype) if wanted[0] else x.new_empty(0)
    dweight = (g.T @ x.to(kind) * weight_gain).to(weight.dtype) if wanted[1] else weight.new_empty(0)
    dbias = (g.sum(0) * bias_gain).to(weight.dtype) if wanted[2] else weight.new_empty(0)
    return dx, dweight, dbias


def _fake_backward(dy: Tensor, y: Tensor, x: Tensor, weight: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    wanted = rest[-1]
    dx, dweight = (torch.empty_like(t) if asked else t.new_empty(0) for t, asked in zip((x, weight), wanted[:2]))
    return dx, dweight, weight.new_empty(len(weight) if wanted[2] else 0)


_backward = define(
    "fully_connected_backward(Tensor dy, Tensor y, Tensor x, Tensor weight, float weight_gain, float bias_gain, "
    "float slope, float gain, bool[] wanted) -> (Tensor dx, Tensor dweight, Tensor dbias)",
    _reference_backward,
    _fake_backward,
)
_forward = define(
    "fully_connected(Tensor x, Tensor weight, Tensor bias, float weight_gain, float bias_gain, float slope, float gain)"
    " -> Tensor",
    _reference,
    _fake,
    _save,
    _gradients,
)
