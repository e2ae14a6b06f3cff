"""The processes of one run: torchrun starts several, on one host or more, and they share the work.

Without torchrun there is one process, and nothing here loads torch. With it, every process (rank) runs the same
program; the first one, rank 0, writes and speaks. lightning-fabric starts the communication.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from histoxplain._checks import check

Item, Result = TypeVar("Item"), TypeVar("Result")

STEP_MINUTES = 30
"""How long a training waits for a process that is there and does not answer."""
SHARE_MINUTES = 60 * 24 * 30
"""How long the first process waits for the others' share of a data set."""
POLITENESS = 5.0
"""Seconds for which the others let the first process speak."""


class RankError(RuntimeError):
    """Another process of this run ended or does not answer."""


def world() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return int(os.environ["RANK"]) if world() > 1 else 0


def join(device_type: str = "cpu", minutes: float = SHARE_MINUTES) -> None:
    """Meet the other processes; afterwards "cuda" is this process's own GPU. Does nothing in a single process.

    Args:
        device_type: what is exchanged: "cuda" by NCCL, which takes a GPU for each process, "cpu" by gloo.
        minutes: how long to wait for an answer. (A process that ends is noticed at once.)

    Raises:
        InputError: if there are fewer GPUs than processes.
    """
    if world() > 1:
        import torch.distributed

        if not torch.distributed.is_initialized():
            _launch(device_type, minutes)


def _launch(device_type: str, minutes: float) -> None:
    import logging
    from datetime import timedelta

    import torch
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import TorchElasticEnvironment
    from lightning_fabric.strategies import DDPStrategy

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    here, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if device_type == "cuda":
        check(here <= gpus, "device", f"be cpu for {here} processes on a host", f"{gpus} GPUs", "start fewer")
    strategy = DDPStrategy(
        cluster_environment=TorchElasticEnvironment(),
        process_group_backend="nccl" if device_type == "cuda" else "gloo",
        timeout=timedelta(minutes=minutes),
    )
    fabric = Fabric(accelerator=device_type, devices=here, num_nodes=world() // here, strategy=strategy)
    with answering():
        fabric.launch()
    if gpus and device_type != "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % gpus)
    signal.signal(signal.SIGTERM, _ended)


def _ended(number: int, frame: Any) -> NoReturn:
    raise RankError("torchrun ended this process, because it was asked to or because another one ended")


@contextmanager
def answering() -> Iterator[None]:
    """Around whatever needs the other processes.

    Raises:
        RankError: if one of them is gone.
    """
    import torch

    try:
        yield
    except (RankError, torch.OutOfMemoryError):
        raise
    except RuntimeError as error:
        reason = (str(error).splitlines() or [""])[0].partition(". ")[0]
        raise RankError(f"another process of this run ended or does not answer ({reason})") from error


def first(function: Callable[[], Result]) -> Result:
    """What the first process makes of a function, or the error it raises, in every process."""
    if world() == 1:
        return function()
    import torch.distributed as dist

    join()
    answer: list[Any] = [None, None]
    if rank() == 0:
        try:
            answer[0] = function()
        except Exception as error:
            answer[1] = error
    with answering():
        dist.broadcast_object_list(answer)
    if answer[1] is not None:
        raise answer[1]
    return answer[0]


def share(items: Sequence[Item]) -> Sequence[Item]:
    """Those that this process does: every `world`-th."""
    return items[rank() :: world()]


def spread(function: Callable[[Item], Result], items: Sequence[Item], everyone: bool = False) -> Iterator[Result]:
    """`map(function, items)`, each item done by one process; in the same order however many there are.

    Args:
        function: gives something that can be pickled.
        items: the same in every process.
        everyone: give the results in every process, not in the first one only.

    Example:
        >>> list(spread(abs, [-1, 2, -3]))
        [1, 2, 3]
    """
    if world() == 1:
        yield from map(function, items)
        return
    import torch.distributed as dist

    join()
    done: list[Result] = [function(item) for item in share(items)]
    shares: list[Any] = [None] * world()
    with answering():
        if everyone:
            dist.all_gather_object(shares, done)
        else:
            dist.gather_object(done, shares if rank() == 0 else None)
    if everyone or rank() == 0:
        for place in range(len(items)):
            yield shares[place % world()][place // world()]


def let_the_first_speak() -> None:
    """Wait a moment before complaining: where the first process has the same to say, torchrun ends this one now."""
    if rank() > 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(POLITENESS)
