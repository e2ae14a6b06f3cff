"""One question at a time: the others wait in order, only so many and only so long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from histoxplain._checks import check_at_least

T = TypeVar("T")


class BusyError(RuntimeError):
    """Too many questions wait already."""

    def __init__(self) -> None:
        super().__init__("Too many people are asking at the moment. Please try again in a minute.")


class LateError(RuntimeError):
    """The answer took too long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"This took longer than {seconds:g} seconds and was given up. Ask for fewer changes.")


class Desk:
    """Works on questions one after another, in the order they came.

    Args:
        waiting: how many may wait besides the one being worked on; 0 lets none.
        seconds: how long each may take, its waiting included.

    Example:
        >>> Desk().ask(lambda: 6 * 7)
        42
    """

    def __init__(self, waiting: int = 8, seconds: float = 180.0) -> None:
        check_at_least("waiting", waiting, 0)
        self.waiting, self.seconds = waiting, seconds
        self._pool = ThreadPoolExecutor(1, "histoxplain-desk")
        self._lock, self._here = threading.Lock(), 0

    def ask(self, work: Callable[[], T]) -> T:
        """The result of `work()`; what it raises is raised here.

        Raises:
            BusyError: if too many wait already.
            LateError: if there is no answer in time. What runs then goes on to its end, and counts until then.
        """
        with self._lock:
            if self._here > self.waiting:
                raise BusyError
            self._here += 1
            job = self._pool.submit(copy_context().run, work)  # in here: who counts first is served first
        job.add_done_callback(self._gone)
        try:
            return job.result(self.seconds)
        except TimeoutError:
            if job.done():
                return job.result()  # done just now, or the work itself timed out
            job.cancel()
            raise LateError(self.seconds) from None

    def _gone(self, job: Future) -> None:
        with self._lock:
            self._here -= 1
