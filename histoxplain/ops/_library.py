"""The custom ops of this package: schema, reference, fake and gradient in Python; native kernels add themselves.

The reference is every device's kernel until a native one is there. Its first call tries to load them, and the
dispatcher then goes straight to those that came.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.library import Library, register_autograd, register_fake

from histoxplain.ops import _native

NAMESPACE = "histoxplain"
KEYS = {"cpu": "CPU", "cuda": "CUDA"}
"""The dispatch keys of the device types that have native kernels."""
TAGS = (torch.Tag.pt2_compliant_tag,)

_library = Library(NAMESPACE, "DEF")
_references: dict[str, Callable[..., Any]] = {}
_natively = True
_in_the_open = False


def define(
    schema: str,
    reference: Callable[..., Any],
    fake: Callable[..., Any],
    save: Callable[..., None] | None = None,
    backward: Callable[..., Any] | None = None,
    cpu: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """Register an op, and return the quickest way to call it with all its arguments in order.

    Args:
        schema: name, arguments without defaults, and results, e.g. `"twice(Tensor x) -> Tensor"`.
        reference: computes it with torch, on any device; its first argument is a tensor, and no result is an input.
        fake: results of the same shapes, types and strides, without values.
        save: `(ctx, inputs, output)`, keeps what `backward` needs.
        backward: `(ctx, *gradients)` of the results (of several, None for those without) to those of the inputs;
            without it the op has no gradient.
        cpu: the CPU's kernel, where Python chooses between native ones and the reference.
    """
    name = schema.partition("(")[0]
    _library.define(schema, tags=TAGS)
    op = getattr(getattr(torch.ops, NAMESPACE), name).default
    _references[name] = reference
    _library.impl(name, _loading(name, op), "CompositeExplicitAutograd")
    if cpu is not None:
        _library.impl(name, cpu, KEYS["cpu"])
    register_fake(f"{NAMESPACE}::{name}", fake, lib=_library)
    if backward is not None:
        register_autograd(f"{NAMESPACE}::{name}", backward, setup_context=save, lib=_library)

    def compute(*arguments: Any) -> Any:
        if _in_the_open and cpu is not None and arguments[0].device.type == "cpu":
            return cpu(*arguments)
        return op(*arguments)

    recorded = None if backward is None else _recorded(compute, save, backward)

    def call(*arguments: Any) -> Any:
        if torch.compiler.is_compiling():
            return op(*arguments)
        if transforms_are_active():
            return reference(*arguments)
        if recorded and torch.is_grad_enabled() and any(map(_asks, arguments)):
            return recorded(*arguments)
        with torch._C._AutoDispatchBelowAutograd():  # nothing to record
            return compute(*arguments)

    return call


@contextmanager
def kernels_in_the_open() -> Iterator[None]:
    """Inside, an op whose CPU kernel is chosen in Python is what was chosen: a trace sees that and not the op.

    Holds for the whole process.

    Example:
        >>> from histoxplain.ops.convolution import convolution
        >>> x = torch.ones(1, 1, 1, 1)
        >>> with kernels_in_the_open():
        ...     convolution(x, x).item()
        1.0
    """
    global _in_the_open
    before, _in_the_open = _in_the_open, True
    try:
        yield
    finally:
        _in_the_open = before


def _asks(argument: Any) -> bool:
    return isinstance(argument, Tensor) and argument.requires_grad


def _recorded(op: Callable[..., Any], save: Callable[..., None], backward: Callable[..., Any]) -> Callable[..., Any]:
    """The op with its gradient, as `register_autograd` has it, but several times quicker to call."""

    class Recorded(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *arguments: Any) -> Any:
            with torch._C._AutoDispatchBelowAutograd():
                output = op(*arguments)
            ctx.set_materialize_grads(False)
            save(ctx, arguments, output)
            return output

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
            if all(gradient is None for gradient in gradients):  # as where a second derivative meets the first
                return (None,) * len(ctx.needs_input_grad)
            return backward(ctx, *gradients)

    return Recorded.apply


def compose(schema: str, function: Callable[..., Any]) -> None:
    """Register an op that is made of others: it has their kernels and gradients."""
    _library.define(schema, tags=TAGS)
    _library.impl(schema.partition("(")[0], function, "CompositeImplicitAutograd")


@contextmanager
def reference_only() -> Iterator[None]:
    """Compute with the references inside the block, as if nothing native were there; holds for the whole process.

    Example:
        >>> from histoxplain.ops import bias_act
        >>> with reference_only():
        ...     bias_act(torch.ones(1, 2), gain=3)
        tensor([[3., 3.]])
    """
    global _natively
    before, _natively = _natively, False
    try:
        with torch.library._scoped_library(NAMESPACE, "IMPL") as override:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it overrides is the purpose
                for name, reference in _references.items():
                    for key in KEYS.values():
                        override.impl(name, reference, key, allow_override=True)
            yield
    finally:
        _natively = before


def kernels_are_there(kind: str) -> bool:
    """Whether native kernels that are no ops of their own may be called; loads them if that was not tried."""
    return _natively and _native.load(kind)


def is_native(name: str, device: str | torch.device = "cpu") -> bool:
    """Whether an op computes with a native kernel on this device; loads them if that was not tried.

    Example:
        >>> is_native("bias_act", "meta")
        False
    """
    kind = torch.device(device).type
    return _native.load(kind) and has_kernel(name, kind)


def has_kernel(name: str, kind: str) -> bool:
    """Whether something is registered for the op on this device type alone."""
    return kind in KEYS and torch._C._dispatch_has_kernel_for_dispatch_key(f"{NAMESPACE}::{name}", KEYS[kind])


def transforms_are_active() -> bool:
    """Whether `torch.func` or forward-mode differentiation is at work: they see through torch's own functions only."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def layout(x: Tensor) -> torch.memory_format:
    """What the result of an op looks like in memory: channels last if `x` is, else contiguous."""
    if transforms_are_active():  # under which a tensor does not tell
        return torch.contiguous_format
    last = x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def compute_type(x: Tensor) -> torch.dtype:
    """The type to compute in: float32, or float64 if `x` is."""
    return torch.promote_types(x.dtype, torch.float32)


def _loading(name: str, op: Callable[..., Any]) -> Callable[..., Any]:
    """The reference as a kernel that first looks for a native one."""
    reference = _references[name]

    def kernel(*arguments: Any) -> Any:
        kind = arguments[0].device.type
        if not _native.settled(kind) and _native.load(kind) and has_kernel(name, kind):
            return op(*arguments)
        return reference(*arguments)

    return kernel
