"""Several processes train as one: each has every `world`-th image of a batch, and what they find is averaged.

Each process draws the random numbers of the whole batch and keeps those of its images. So the images and latents of a
step do not depend on how many processes there are, a training may go on with more or fewer of them, and only the order
of floating-point sums tells them apart. Images of one group of the discriminator's minibatch statistic (i, i + N/4,
...) are in the same process as long as each has such a group or more. In one process nothing here does anything.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from histoxplain._checks import check
from histoxplain._device import resolve_device
from histoxplain._ranks import STEP_MINUTES, answering, join, rank, world


def begin(device: str) -> None:
    """Meet the other processes, if there are any.

    Raises:
        InputError: if `device` names one of several GPUs, or there are fewer than processes.
    """
    chosen = resolve_device(device)
    alone = world() == 1 or chosen.index is None
    check(alone, "device", f"be auto, cuda or cpu for {world()} processes", device, "each takes its own GPU")
    join(chosen.type, STEP_MINUTES)


def mine(x: Tensor, dim: int = 0) -> Tensor:
    """Those rows of a whole batch that are this process's: every `world`-th."""
    if world() == 1:
        return x
    return x[(slice(None),) * dim + (slice(rank(), None, world()),)].contiguous()


class _JointDraws(TorchFunctionMode):
    def __init__(self, rows: int | None) -> None:
        super().__init__()
        self.rows = rows

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func not in (torch.rand, torch.randn, torch.randint) or kwargs.get("generator") is None:
            return func(*args, **kwargs)
        listed = isinstance(args[-1], tuple | list)
        bounds, (n, *rest) = (args[:-1], args[-1]) if listed else ((), args)
        return mine(func(*bounds, (self.rows or n * world(), *rest), **kwargs))


@contextmanager
def joint_draws(rows: int | None = None) -> Iterator[None]:
    """Inside, what `torch.rand`, `randn` and `randint` draw from a generator, a row an image, is drawn for all images.

    Args:
        rows: images of the whole batch; None where all processes have equally many.
    """
    if world() == 1:
        yield
    else:
        with _JointDraws(rows):
            yield


@torch.no_grad()
def average_(tensors: Iterable[Tensor]) -> None:
    """Replace tensors by their means over the processes, in one exchange."""
    tensors = list(tensors)
    if world() == 1 or not tensors:
        return
    flat = torch.cat([x.detach().float().reshape(-1) for x in tensors])
    _sum_(flat).div_(world())
    for x, part in zip(tensors, flat.split([x.numel() for x in tensors])):
        x.copy_(part.view(x.shape))


@torch.no_grad()
def copy_from_first_(tensors: Iterable[Tensor]) -> None:
    """Replace tensors by those of the first process, so that hosts cannot begin differently."""
    if world() > 1:
        for x in tensors:
            same = x.contiguous()
            with answering():
                dist.broadcast(same, 0)
            x.copy_(same)


def _sum_(x: Tensor) -> Tensor:
    with answering():
        dist.all_reduce(x)
    return x


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _sum_(x.detach().clone()).div_(world())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _sum_(gradient.clone()).div_(world())


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world())]
        with answering():
            dist.all_gather(parts, x.detach().contiguous())
        return torch.stack(parts, 1).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return mine(_sum_(gradient.clone(memory_format=torch.contiguous_format)))


def mean(x: Tensor) -> Tensor:
    """The mean of a tensor over the processes; gradients flow through."""
    return x if world() == 1 else _Mean.apply(x)


def gather(x: Tensor) -> Tensor:
    """The rows of all processes, in the order of the whole batch, in each of them; gradients flow through.

    Since gradients of parameters are averaged over the processes, each must compute the same loss of the result.
    """
    return x if world() == 1 else _Gather.apply(x)


class _SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation by the statistics of the whole batch; torch's own synchronised one takes a GPU."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        wide = x.float()
        count = wide.new_tensor([x.numel() / x.shape[1]])
        total = mean(torch.cat([wide.sum((0, 2, 3)), count]))
        count = total[-1]
        centre = total[:-1] / count
        apart = wide - centre[:, None, None]
        spread = mean(apart.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            n = count * world()
            self.running_mean.lerp_(centre, self.momentum)
            self.running_var.lerp_(spread * n / (n - 1), self.momentum)
            self.num_batches_tracked += 1
        scale = self.weight * (spread + self.eps).rsqrt()
        return (apart * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def share_batch_norm(network: nn.Module) -> nn.Module:
    """Let the batch normalisations of a network see the images of all processes; returns it."""
    if world() > 1:
        for module in network.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = _SharedBatchNorm
    return network


class Interruption:
    """Ctrl-C, or a polite wish to end (SIGTERM: torchrun's, a cluster's), both of which keep the state.

    Several processes first do the same step; a second wish acts at once, as does the first one in a single process.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.wanted = device, False

    def __enter__(self) -> Interruption:
        numbers = (signal.SIGINT, signal.SIGTERM) if world() > 1 else (signal.SIGTERM,)
        if threading.current_thread() is not threading.main_thread():
            numbers = ()  # only the main thread may be told
        self.before = {number: signal.signal(number, self._want) for number in numbers}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _want(self, number: int, frame: Any) -> None:
        if self.wanted or world() == 1:
            raise KeyboardInterrupt
        self.wanted = True

    def heed(self) -> None:
        """Between two steps.

        Raises:
            KeyboardInterrupt: in every process, if one was interrupted.
        """
        if world() > 1 and mean(torch.tensor(float(self.wanted), device=self.device)) > 0:
            raise KeyboardInterrupt
