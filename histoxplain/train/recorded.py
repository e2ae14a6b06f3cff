"""Functions that are recorded once, with their gradients, and from then on replayed as flat lists of operations.

A step of a small network calls some thousand operations, and Python, the dispatcher and autograd take up to half as
long between them as the arithmetic does in them. A replay makes the same calls, in the same order, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from histoxplain.ops.convolution_layer import is_in_parts
from histoxplain.train.flat import Flat, flatten

PATIENCE = 50
"""Calls of one kind before it is recorded, which costs what a replay saves in some hundred calls."""
DRAWS = (torch.rand, torch.randn, torch.randint)


class Recorded:
    """A function that is quicker after its first `patience` calls with one kind of arguments.

    Args:
        function: of tensors to a tensor. It decides by shapes and never by values, changes nothing, and is random only
            by `torch.rand`, `randn` and `randint`, which draw anew for every replay.
        parameters: what gradients are wanted of, beside its arguments.
        patience: calls before one is recorded.

    It has a gradient, but the gradient has none: whoever needs that calls it inside `layers_in_parts`, where it is the
    function itself; as it is for tensors that are not a CPU's.

    Example:
        >>> double = Recorded(lambda x: 2 * x, patience=1)
        >>> [double(torch.tensor(x)).item() for x in (1.0, 2.0, 3.0)]
        [2.0, 4.0, 6.0]
    """

    def __init__(
        self, function: Callable[..., Tensor], parameters: Iterable[Tensor] = (), patience: int = PATIENCE
    ) -> None:
        self.function, self.parameters, self.patience = function, list(parameters), patience
        self._calls: Counter[Any] = Counter()
        self._recordings: dict[Any, _Recording] = {}

    def __call__(self, *inputs: Tensor | None) -> Tensor:
        """What `function` returns for those inputs that are not None."""
        inputs = tuple(x for x in inputs if x is not None)
        if is_in_parts() or any(x.device.type != "cpu" for x in inputs):
            return self.function(*inputs)
        asked = torch.is_grad_enabled()
        kinds = ((x.shape, x.stride(), x.dtype, x.requires_grad) for x in inputs)
        kind = (asked, *kinds, *(x.requires_grad for x in self.parameters))
        recording = self._recordings.get(kind)
        if recording is not None:
            return recording(inputs)
        self._calls[kind] += 1
        if self._calls[kind] < self.patience:
            return self.function(*inputs)
        with _Noted() as noted:
            y = self.function(*inputs)
        self._recordings[kind] = _Recording(self.function, self.parameters if asked else [], noted.draws)
        return y


class _Recording:
    """A function of one kind of arguments; the first call records it."""

    def __init__(
        self, function: Callable[..., Tensor], parameters: Sequence[Tensor], draws: Sequence[Callable[[], Tensor]]
    ) -> None:
        self.function, self.parameters, self.draws = function, parameters, draws
        self.flat: Flat | None = None

    def __call__(self, inputs: Sequence[Tensor]) -> Tensor:
        drawn = [draw() for draw in self.draws]
        if self.flat is None:
            self._record(inputs, drawn)
        return _Replay.apply(self, *inputs, *drawn, *self.parameters)

    def _record(self, inputs: Sequence[Tensor], drawn: Sequence[Tensor]) -> None:
        count, asked = len(inputs), torch.is_grad_enabled()

        def certain(*tensors: Tensor) -> Tensor:
            with _Given(tensors[count:]):
                return self.function(*tensors[:count])

        given = [x.detach().requires_grad_(asked and x.requires_grad) for x in (*inputs, *drawn)]
        self.flat = flatten(certain, given, self.parameters)
        self.wanted = [x.requires_grad for x in (*given, *self.parameters)]
        self.count = len(given)


class _Replay(torch.autograd.Function):
    """One node of autograd's graph in place of all that the function would add."""

    @staticmethod
    def forward(ctx: Any, recording: _Recording, *tensors: Tensor) -> Tensor:
        ctx.recording = recording
        y, ctx.kept = recording.flat.run(tensors[: recording.count])
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        kept, ctx.kept = ctx.kept, None
        if kept is None or torch.is_grad_enabled():
            raise RuntimeError("a recorded function gives its gradient once, and none of it; see `layers_in_parts`")
        found = iter(ctx.recording.flat.run_back(kept, dy))
        return None, *(next(found) if wanted else None for wanted in ctx.recording.wanted)


class _Noted(TorchFunctionMode):
    """Notes how random tensors are drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.draws: list[Callable[[], Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in DRAWS:
            self.draws.append(partial(func, *args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))


class _Given(TorchFunctionMode):
    """Hands out tensors where random ones are drawn."""

    def __init__(self, drawn: Iterable[Tensor]) -> None:
        super().__init__()
        self.drawn: Iterator[Tensor] = iter(drawn)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return next(self.drawn) if func in DRAWS else func(*args, **(kwargs or {}))
