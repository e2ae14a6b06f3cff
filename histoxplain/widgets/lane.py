"""Work beside the kernel: a notebook stays alive while something is computed, and only the newest wish is served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Job = Callable[[], Any]
Then = Callable[[Any], None]


class Lane:
    """One thread that computes what was asked last.

    While a job runs, at most one other waits: a newer one takes its place. Results are handed over where widgets live,
    in the kernel's own thread. Without a running event loop (scripts, tests) jobs run at once.

    Args:
        on_error: receives what a job or the handing over raised, or None when it went well.
        on_busy: is told True when work begins and False when nothing is left to do.

    Example:
        >>> lane = Lane(on_error=lambda error: None)
        >>> lane(lambda: 6 * 7, print)
        42
    """

    def __init__(
        self, on_error: Callable[[Exception | None], None], on_busy: Callable[[bool], None] = lambda busy: None
    ) -> None:
        self.on_error, self.on_busy = on_error, on_busy
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: tuple[Job, Then] | None = None
        self._wanted = True
        self.busy = False

    def __call__(self, job: Job, then: Then) -> None:
        """Compute `job()` as soon as possible, and hand the result to `then`."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.now(job, then)
            return
        if self.busy:
            self._waiting = (job, then)
            return
        self._wanted = True
        self._tell(True)
        self._pool = self._pool or ThreadPoolExecutor(1)
        running = loop.run_in_executor(self._pool, _tried, job)
        running.add_done_callback(lambda done: self._arrived(*done.result(), then))

    def now(self, job: Job, then: Then) -> None:
        """Compute here and now, whatever else is under way."""
        self._hand_over(*_tried(job), then)

    def stop(self) -> None:
        """Forget what waits, and what is being computed once it is there."""
        self._waiting, self._wanted = None, False

    def _arrived(self, value: Any, error: Exception | None, then: Then) -> None:
        """A result, in the kernel's own thread again; what waits comes next."""
        if self._wanted:
            self._hand_over(value, error, then)
        self.busy = False
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            self._tell(False)
        else:
            self(*waiting)

    def _hand_over(self, value: Any, error: Exception | None, then: Then) -> None:
        if error is None:
            error = _tried(lambda: then(value))[1]
        self.on_error(error)

    def _tell(self, busy: bool) -> None:
        self.busy = busy
        self.on_busy(busy)


def _tried(job: Job) -> tuple[Any, Exception | None]:
    try:
        return job(), None
    except Exception as error:  # shown where the user looks; the session lives on
        return None, error
