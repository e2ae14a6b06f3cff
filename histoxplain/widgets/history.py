"""Undo and redo: states in the order in which they were reached, a burst of small moves as one of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar

State = TypeVar("State")


class History(Generic[State]):
    """Where one has been.

    Args:
        first: the state to begin with.
        limit: how many states are remembered.
        within: moves of one control that follow each other in so many seconds count as one.
        clock: tells the time, in seconds.

    Example:
        >>> history = History("start")
        >>> history.do("there")
        >>> history.undo(), history.redo()
        ('start', 'there')
    """

    def __init__(
        self, first: State, limit: int = 200, within: float = 1.0, clock: Callable[[], float] = monotonic
    ) -> None:
        self._states, self._at = [first], 0
        self._limit, self._within, self._clock = limit, within, clock
        self._last: tuple[Hashable, float] = (None, 0.0)

    @property
    def now(self) -> State:
        """Where one is."""
        return self._states[self._at]

    @property
    def can_undo(self) -> bool:
        """Whether there is something before."""
        return self._at > 0

    @property
    def can_redo(self) -> bool:
        """Whether something was undone."""
        return self._at + 1 < len(self._states)

    def do(self, state: State, control: Hashable = None) -> None:
        """Go to a state; what was undone is forgotten.

        Args:
            state: where to.
            control: what was moved; None never joins the move before. A state equal to the present one is no move.
        """
        if state == self.now:
            return
        before, when = self._last
        same = control is not None and control == before and self._clock() - when < self._within
        joined = same and self._at > 0 and not self.can_redo
        self._states = [*self._states[: self._at + (not joined)], state][-self._limit :]
        self._at, self._last = len(self._states) - 1, (control, self._clock())

    def undo(self) -> State:
        """Go back one state, if there is one, and return it."""
        self._at, self._last = max(0, self._at - 1), (None, 0.0)
        return self.now

    def redo(self) -> State:
        """Go forward again, if something was undone, and return where one is."""
        self._at, self._last = min(len(self._states) - 1, self._at + 1), (None, 0.0)
        return self.now
