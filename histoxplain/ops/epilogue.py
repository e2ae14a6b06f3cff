"""What follows a convolution, in one pass over memory: scale each channel, add noise and bias, activate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from histoxplain._checks import check, check_one_of
from histoxplain.ops import packed
from histoxplain.ops._library import compute_type, define, kernels_are_there, layout
from histoxplain.ops.activations import ACTIVATIONS, invertible, response, slope
from histoxplain.ops.convolution import is_wanted

PIECEWISE_LINEAR = ("linear", "relu", "lrelu")


def epilogue(
    x: Tensor,
    scale: Tensor | None = None,
    noise: Tensor | None = None,
    b: Tensor | None = None,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
) -> Tensor:
    """`clamp(act(x * scale + noise + b) * gain)`, all that a StyleGAN2 layer does after its convolution.

    It computes in float32 (float64 if `x` is) and rounds once, to the type of `x`.

    Args:
        x: images, shape `(N, C, H, W)`, floating point.
        scale: factor of each channel, shape `(N, C)`; the demodulation.
        noise: shape `(H, W)`, or `(N, 1, H, W)` with one image for all if N is 1.
        b: bias, shape `(C,)`.
        act: "linear", "relu" or "lrelu".
        alpha, gain, clamp: see `bias_act`.

    Returns:
        Tensor like `x`; channels last if `x` is.

    Raises:
        InputError: on another activation, a shape that does not fit, or a negative clamp.

    Example:
        >>> epilogue(torch.ones(1, 1, 1, 2), scale=torch.tensor([[3.0]]), b=torch.tensor([-5.0]), act="lrelu", gain=1)
        tensor([[[[-0.4000, -0.4000]]]])
    """
    check_one_of("act", act, PIECEWISE_LINEAR)
    check(x.ndim == 4 and x.is_floating_point(), "x", "be floating point (N, C, H, W)", f"{x.dtype} {tuple(x.shape)}")
    check(clamp is None or clamp >= 0, "clamp", "be at least 0", clamp)
    n, c, height, width = x.shape
    if scale is not None:
        check(scale.shape == (n, c), "scale", f"have shape ({n}, {c})", tuple(scale.shape))
    if noise is not None:
        noise = noise[None, None] if noise.ndim == 2 else noise
        fits = noise.shape in ((n, 1, height, width), (1, 1, height, width))
        check(fits, "noise", f"have shape ({n}, 1, {height}, {width}) or ({height}, {width})", tuple(noise.shape))
    if b is not None:
        check(b.shape == (c,), "b", f"have shape ({c},)", tuple(b.shape))
    alpha = ACTIVATIONS[act].alpha if alpha is None else alpha
    gain = ACTIVATIONS[act].gain if gain is None else gain
    clamp = -1.0 if clamp is None else clamp
    if torch.compiler.is_compiling() or not invertible(alpha, gain):
        return _reference(x, scale, noise, b, act, alpha, gain, clamp)
    return _forward(x, scale, noise, b, act, alpha, gain, clamp)


def _reference(
    x: Tensor,
    scale: Tensor | None,
    noise: Tensor | None,
    b: Tensor | None,
    act: str,
    alpha: float,
    gain: float,
    clamp: float,
) -> Tensor:
    y = _scaled(x.to(compute_type(x)), scale)
    y = y if noise is None else y + noise.to(y.dtype)
    y = y if b is None else y + b.to(y.dtype)[:, None, None]
    y = response(y, act, alpha, gain, clamp).to(x.dtype).contiguous(memory_format=layout(x))
    return y.clone() if y is x else y


def _fake(x: Tensor, *_: object) -> Tensor:
    return torch.empty_like(x, memory_format=layout(x))


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Keep the result, which the next layer keeps as well, and the input only if the scale asks for a gradient."""
    x, scale, noise, b, *ctx.settings = inputs
    ctx.there = [parameter is not None for parameter in (scale, noise, b)]
    ctx.save_for_backward(x if ctx.needs_input_grad[1] else output, output, scale)
    ctx.types = [None if parameter is None else parameter.dtype for parameter in (scale, noise, b)]
    ctx.one_noise = noise is not None and noise.shape[0] == 1


def _gradients(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    places = iter(range(1, 4))
    wanted = [there and is_wanted(ctx, next(places)) for there in ctx.there]
    dx, dscale, dnoise, db = _backward(dy, *ctx.saved_tensors, wanted, *ctx.settings)
    dnoise = dnoise.sum(0, keepdim=True) if wanted[1] and ctx.one_noise else dnoise
    found = zip((dscale, dnoise, db), wanted, ctx.types, strict=True)
    return dx, *(value.to(kind) if want else None for value, want, kind in found), None, None, None, None


def _reference_backward(
    dy: Tensor,
    x: Tensor,
    y: Tensor,
    scale: Tensor | None,
    wanted: Sequence[bool],
    act: str,
    alpha: float,
    gain: float,
    clamp: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    kind = compute_type(y)
    g = dy.to(kind) * slope(y, act, alpha, gain, clamp, kind)
    nothing = g.new_empty(0)
    return (
        _scaled(g, scale).to(y.dtype).contiguous(memory_format=layout(y)),
        (g * x.to(kind)).sum([2, 3]) if wanted[0] else nothing,
        g.sum(1, keepdim=True).contiguous() if wanted[1] else nothing.clone(),
        g.sum([0, 2, 3]) if wanted[2] else nothing.clone(),
    )


def _fake_backward(
    dy: Tensor, x: Tensor, y: Tensor, scale: Tensor | None, wanted: Sequence[bool], *_: object
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    n, c, height, width = y.shape
    shapes = ((n, c), (n, 1, height, width), (c,))
    sums = [
        y.new_empty(shape if want else (0,), dtype=compute_type(y)) for shape, want in zip(shapes, wanted, strict=True)
    ]
    return torch.empty_like(y, memory_format=layout(y)), *sums


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    dy, x, y, scale, ctx.wanted, *ctx.settings = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(dy, x, y, scale)


def _second_gradients(
    ctx: Any, ddx: Tensor | None, ddscale: Tensor | None, ddnoise: Tensor | None, ddb: Tensor | None
) -> tuple[Tensor | None, ...]:
    """The gradient is linear in `dy`, `x` and `scale`, and the activation has no second derivative.

    So what flows back to `dy` is what a linear epilogue makes of the incoming gradients, times the slope; and what
    flows to `x` and `scale` are gradients of an epilogue whose input is `ddx` and whose scale is `ddscale`.
    """
    (dy, x, y, scale), needs, linear = ctx.saved_tensors, ctx.needs_input_grad, ("linear", 0.0, 1.0, -1.0)
    asked = zip((ddscale, ddnoise, ddb), ctx.wanted, strict=True)
    ddscale, ddnoise, ddb = (value if want else None for value, want in asked)
    both = not (ddx is None or ddscale is None) and ddnoise is ddb is None
    if both and not torch.is_grad_enabled() and _passes_once(y):
        d_dy, d_x, d_scale = _second_at_once(dy, x, y, scale, ddx, ddscale, ctx.settings)
        return d_dy, d_x, None, d_scale, None, None, None, None, None
    d_dy = d_x = d_scale = None
    if needs[0]:
        d_dy = torch.zeros_like(y) if ddx is None else ddx
        if not (scale is ddnoise is ddb is None):
            d_dy = _forward(d_dy, scale, ddnoise, ddb, *linear)
        if ddscale is not None:
            d_dy = d_dy + _forward(x, ddscale, None, None, *linear)
        act, _, gain, clamp = ctx.settings
        if (act, gain) != ("linear", 1) or clamp >= 0:
            d_dy = _backward(d_dy, y, y, None, (False, False, False), *ctx.settings)[0]
    to_scale, to_x = needs[3] and ddx is not None, needs[1] and ddscale is not None
    if to_x or to_scale:
        wanted = (to_scale, False, False)
        d_x, d_scale, _, _ = _backward(dy, ddx if to_scale else y, y, ddscale, wanted, *ctx.settings)
        d_x, d_scale = d_x if to_x else None, d_scale.to(scale.dtype) if to_scale else None
    return d_dy, d_x, None, d_scale, None, None, None, None, None


def _passes_once(y: Tensor) -> bool:
    """Whether a CPU has a kernel for the second gradients that path length asks for."""
    if type(y) is not Tensor or y.device.type != "cpu" or y.dtype not in (torch.float32, torch.bfloat16):
        return False
    return y.shape[1] % packed.CHANNELS == 0 and layout(y) == torch.channels_last and kernels_are_there("cpu")


def _second_at_once(
    dy: Tensor, x: Tensor, y: Tensor, scale: Tensor, ddx: Tensor, ddscale: Tensor, settings: Sequence[Any]
) -> tuple[Tensor, Tensor, Tensor]:
    """Those of `dy`, `x` and `scale` in one pass over memory instead of six."""
    dy, x, ddx = (image.to(y.dtype).contiguous(memory_format=torch.channels_last) for image in (dy, x, ddx))
    second = torch.ops.histoxplain.epilogue_second_gradients
    d_dy, d_x, d_scale = second(dy, x, y, scale, ddx, ddscale, *settings)
    return d_dy, d_x, d_scale.to(scale.dtype)


def _scaled(x: Tensor, scale: Tensor | None) -> Tensor:
    return x if scale is None else x * scale.to(x.dtype)[:, :, None, None]


_SETTINGS = "str act, float alpha, float gain, float clamp"
_backward = define(
    f"epilogue_backward(Tensor dy, Tensor x, Tensor y, Tensor? scale, bool[] wanted, {_SETTINGS})"
    " -> (Tensor dx, Tensor dscale, Tensor dnoise, Tensor db)",
    _reference_backward,
    _fake_backward,
    _save_backward,
    _second_gradients,
)
_forward = define(
    f"epilogue(Tensor x, Tensor? scale, Tensor? noise, Tensor? b, {_SETTINGS}) -> Tensor",
    _reference,
    _fake,
    _save,
    _gradients,
)
