"""The activations of StyleGAN2, with derivatives that are told from their results."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Activation(NamedTuple):
    """An activation with its default slope `alpha` and its variance-preserving `gain`.

    `slope` is its derivative, and `bend` the derivative of that, both as functions of its result: what a layer keeps
    anyway. For swish they are functions of its input. None is zero everywhere.
    """

    function: Callable[[Tensor, float], Tensor]
    alpha: float
    gain: float
    slope: Callable[[Tensor, float], Tensor] | None = None
    bend: Callable[[Tensor], Tensor] | None = None


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def _step(y: Tensor, below: float | Tensor, above: float) -> Tensor:
    return torch.where(y > 0, torch.full_like(y, above), below)


def _swish_slope(x: Tensor, _: float) -> Tensor:
    s = torch.sigmoid(x)
    return s * (1 + x * (1 - s))


def _swish_bend(x: Tensor) -> Tensor:
    s = torch.sigmoid(x)
    return s * (1 - s) * (2 + x * (1 - 2 * s))


ACTIVATIONS = {
    "linear": Activation(lambda x, _: x, 0.0, 1.0, lambda y, _: torch.ones_like(y)),
    "relu": Activation(lambda x, _: F.relu(x), 0.0, sqrt(2), lambda y, _: _step(y, 0.0, 1.0)),
    "lrelu": Activation(F.leaky_relu, 0.2, sqrt(2), lambda y, alpha: _step(y, alpha, 1.0)),
    "tanh": Activation(lambda x, _: torch.tanh(x), 0.0, 1.0, lambda y, _: 1 - y * y, lambda y: -2 * y),
    "sigmoid": Activation(lambda x, _: torch.sigmoid(x), 0.0, 1.0, lambda y, _: y * (1 - y), lambda y: 1 - 2 * y),
    "elu": Activation(lambda x, _: F.elu(x), 0.0, 1.0, lambda y, _: _step(y, y + 1, 1.0), lambda y: _step(y, 1.0, 0.0)),
    "selu": Activation(
        lambda x, _: F.selu(x),
        0.0,
        1.0,
        lambda y, _: _step(y, y + SELU_SCALE * SELU_ALPHA, SELU_SCALE),
        lambda y: _step(y, 1.0, 0.0),
    ),
    "softplus": Activation(
        lambda x, _: F.softplus(x), 0.0, 1.0, lambda y, _: -torch.expm1(-y), lambda y: torch.exp(-y)
    ),
    "swish": Activation(lambda x, _: x * torch.sigmoid(x), 0.0, sqrt(2), _swish_slope, _swish_bend),
}
"""The nine activations of StyleGAN2-ADA by name."""


def invertible(alpha: float, gain: float) -> bool:
    """Whether an activation's result tells on which side of zero its input was."""
    return gain > 0 and alpha >= 0


def response(x: Tensor, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    """`clamp(act(x) * gain)`, without a clamp if that is negative."""
    x = ACTIVATIONS[act].function(x, alpha)
    x = x if gain == 1 else x * gain
    return x if clamp < 0 else x.clamp(-clamp, clamp)


def slope(ref: Tensor, act: str, alpha: float, gain: float, clamp: float, dtype: torch.dtype | None = None) -> Tensor:
    """The derivative of `response` as a function of its result, or for swish of its input, in `dtype` or its own.

    Whether the clamp acted is asked in the type of `ref`: what was clamped to 181.02 is 181 in bfloat16.
    """
    values = ACTIVATIONS[act].slope(argument(ref.to(dtype or ref.dtype), act, gain), alpha) * gain
    return unclamped(values, ref, act, gain, clamp)


def argument(ref: Tensor, act: str, gain: float) -> Tensor:
    """What `slope` and `bend` of an activation are functions of."""
    return ref if act == "swish" or gain == 1 else ref / gain


def unclamped(values: Tensor, ref: Tensor, act: str, gain: float, clamp: float) -> Tensor:
    """`values` where the clamp did not act, else zero."""
    if clamp < 0:
        return values
    y = ref * torch.sigmoid(ref) * gain if act == "swish" else ref
    return torch.where(y.abs() < clamp, values, torch.zeros((), dtype=values.dtype, device=values.device))
