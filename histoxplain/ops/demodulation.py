"""The reciprocal length of modulated filters, which normalises what they find."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from histoxplain.ops._library import compute_type, define


def demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """Reciprocal length of each modulated output filter, shape `(N, O)`.

    An op of its own since it is small and often used: one call each way in place of twenty.

    Args:
        weight: shape `(O, I, kh, kw)`, floating point.
        styles: scale of each input channel, shape `(N, I)`; the result has its type.

    Example:
        >>> demodulation(torch.full((1, 1, 1, 1), 2.0), torch.tensor([[3.0]]))
        tensor([[0.1667]])
    """
    return _reference(weight, styles) if torch.compiler.is_compiling() else _forward(weight, styles)


def _reference(weight: Tensor, styles: Tensor) -> Tensor:
    kind = compute_type(styles)
    lengths = styles.to(kind).square() @ _energy(weight.to(kind)).T
    return torch.rsqrt(lengths + 1e-8).to(styles.dtype)


def _energy(weight: Tensor) -> Tensor:
    """Square length of each kernel, `(O, I)`."""
    return weight.square().sum([2, 3])


def _fake(weight: Tensor, styles: Tensor) -> Tensor:
    return styles.new_empty((len(styles), len(weight)))


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs, output)


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
    back = _reference_backward if torch.is_grad_enabled() else _backward  # path length differentiates once more
    return back(gradient, *ctx.saved_tensors)


def _reference_backward(gradient: Tensor, weight: Tensor, styles: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    kind = compute_type(styles)
    slope = -gradient.to(kind) * scale.to(kind) ** 3
    w, s = weight.to(kind), styles.to(kind)
    dweight = w * (slope.T @ s.square())[:, :, None, None]
    return dweight.to(weight.dtype).contiguous(), (s * (slope @ _energy(w))).to(styles.dtype)


def _fake_backward(gradient: Tensor, weight: Tensor, styles: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    return weight.new_empty(weight.shape), styles.new_empty(styles.shape)


_backward = define(
    "demodulation_backward(Tensor gradient, Tensor weight, Tensor styles, Tensor scale)"
    " -> (Tensor dweight, Tensor dstyles)",
    _reference_backward,
    _fake_backward,
)
_forward = define("demodulation(Tensor weight, Tensor styles) -> Tensor", _reference, _fake, _save, _gradients)
