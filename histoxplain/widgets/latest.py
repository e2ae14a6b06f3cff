"""Draw only the latest state: a burst of slider moves is answered once, and nothing piles up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

Action = Callable[[], None]


class Latest:
    """Calls `action` once for a burst of calls, and hands errors to `on_error`.

    A notebook's kernel reads slider moves one by one. Each move only asks for a drawing; the drawing starts when the
    moves that had already arrived are read, and shows the newest state. Without a running event loop (scripts, tests)
    the drawing happens at once.

    Args:
        action: draws the state of the moment.
        on_error: receives what `action` raised, or None when it went well.
        delay: how long to gather moves before drawing, in seconds.

    Example:
        >>> drawn = []
        >>> draw = Latest(lambda: drawn.append("picture"), on_error=lambda error: None)
        >>> draw()
        >>> drawn
        ['picture']
    """

    def __init__(self, action: Action, on_error: Callable[[Exception | None], None], delay: float = 0.01) -> None:
        self.action, self.on_error, self.delay = action, on_error, delay
        self._waiting: asyncio.TimerHandle | None = None

    def __call__(self, _change: Any = None) -> None:
        """Ask for a drawing; an ipywidgets observer, so whatever it is told about the change is ignored."""
        if self._waiting is not None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.now()
        else:
            self._waiting = loop.call_later(self.delay, self.now)

    def now(self) -> None:
        """Draw without waiting."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = None
        try:
            self.action()
        except Exception as error:  # shown where the user looks; the session lives on
            self.on_error(error)
        else:
            self.on_error(None)
