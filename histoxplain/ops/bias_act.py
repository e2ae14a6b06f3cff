"""Bias, activation, gain and clamp as one operation."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from histoxplain._checks import check, check_one_of


class Activation(NamedTuple):
    """An activation with its default slope `alpha` and its variance-preserving `gain`."""

    function: Callable[[Tensor, float], Tensor]
    alpha: float
    gain: float


ACTIVATIONS = {
    "linear": Activation(lambda x, _: x, 0.0, 1.0),
    "relu": Activation(lambda x, _: F.relu(x), 0.0, sqrt(2)),
    "lrelu": Activation(F.leaky_relu, 0.2, sqrt(2)),
    "tanh": Activation(lambda x, _: torch.tanh(x), 0.0, 1.0),
    "sigmoid": Activation(lambda x, _: torch.sigmoid(x), 0.0, 1.0),
    "elu": Activation(lambda x, _: F.elu(x), 0.0, 1.0),
    "selu": Activation(lambda x, _: F.selu(x), 0.0, 1.0),
    "softplus": Activation(lambda x, _: F.softplus(x), 0.0, 1.0),
    "swish": Activation(lambda x, _: x * torch.sigmoid(x), 0.0, sqrt(2)),
}
"""The nine activations of StyleGAN2-ADA by name."""


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
    check(clamp is None or clamp >= 0, "clamp", "be at least 0", clamp)
    function, default_alpha, default_gain = ACTIVATIONS[act]
    if b is not None:
        check(b.shape == x.shape[dim : dim + 1], "b", f"have shape ({x.shape[dim]},)", tuple(b.shape))
        x = x + b.to(x.dtype).reshape([-1 if axis == dim % x.ndim else 1 for axis in range(x.ndim)])
    x = function(x, default_alpha if alpha is None else alpha)
    gain = default_gain if gain is None else gain
    if gain != 1:
        x = x * gain
    return x if clamp is None else x.clamp(-clamp, clamp)
