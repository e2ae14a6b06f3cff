"""What an explorer shows, as values that can be compared, remembered and written down."""

from __future__ import annotations

from dataclasses import dataclass

from histoxplain.widgets.place import Place


@dataclass(frozen=True)
class Question:
    """What would it take?

    Attributes:
        place: whence.
        target: the class asked for.
        count: how many different answers.
        mask: where the image may change: one byte a pixel, row by row, 255 where it may and 0 where not. Empty is
            everywhere.
        method: a name in `hx.explain.METHODS`.
    """

    place: Place
    target: str
    count: int = 3
    mask: bytes = b""
    method: str = "latent"


@dataclass(frozen=True)
class Walk:
    """How far along the way to an answer.

    Attributes:
        question: what was asked.
        which: the number of the answer, from 0.
        at: 0 is the start, 1 the counterfactual.
    """

    question: Question
    which: int = 0
    at: float = 1.0


@dataclass(frozen=True)
class State:
    """Everything that undo brings back.

    Attributes:
        place: where the sliders stand.
        walk: on the way to an answer; None shows what the sliders give.
        mask: where the next answer may change the image; see `Question`.
        pinned: what the image is compared with; None is where the sliders, or the walk, began.
    """

    place: Place
    walk: Walk | None = None
    mask: bytes = b""
    pinned: State | None = None
