"""The explorer without its widgets: where one stands, what is seen, asked and compared, undo and redo."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from histoxplain._checks import check, check_between
from histoxplain.explain import Comparison, Explanation, change_map, compare_images
from histoxplain.explain.change import change_limit
from histoxplain.widgets.answers import Answers
from histoxplain.widgets.history import History
from histoxplain.widgets.place import Sight
from histoxplain.widgets.state import Question, State, Walk

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.widgets.explore_session import ExploreSession
    from histoxplain.widgets.place import Place

KEPT = 64
"""How many sights are remembered."""


@dataclass(frozen=True, eq=False)
class View:
    """What is seen in a state, and what it is compared with.

    Attributes:
        state: which state.
        now: what is seen.
        before: what it is compared with.
        change: the signed change of brightness from one to the other, (H, W) in [-1, 1]; positive is lighter.
        limit: the change at which colours saturate.
    """

    state: State
    now: Sight
    before: Sight
    change: Tensor
    limit: float


class Workbench:
    """Where an explorer stands, and what can be done from there.

    Args:
        session: draws and classifies.
        seed: fixes every search.
        start: the point of the map to begin with.
    """

    def __init__(self, session: ExploreSession, seed: int = 0, start: int = 0) -> None:
        self.session, self.answers = session, Answers(session, seed)
        self.class_names, self.resolution = session.class_names, session.bundle.resolution
        first = session.at_image(0) if session.images else session.place(start)
        self.history = History(State(first))
        self._sights: dict[Place | Walk, Sight] = {}

    @property
    def state(self) -> State:
        """Where one stands."""
        return self.history.now

    def move(self, place: Place, control: Hashable = None) -> State:
        """Take the sliders somewhere, leaving any walk; moves of one control in quick succession are undone as one."""
        here = self.session.home(place) == self.session.home(self.state.place)
        mask = self.state.mask if here else b""  # a region belongs to the image it was drawn on
        self.history.do(replace(self.state, place=place, walk=None, mask=mask), control)
        return self.state

    def choose(self, point: int) -> State:
        """Go to a point of the map.

        Raises:
            InputError: if there is no such point.
        """
        return self.move(self.session.place(point))

    def choose_image(self, image: int) -> State:
        """Go to an opened image.

        Raises:
            InputError: if there is no such image.
        """
        return self.move(self.session.at_image(image))

    def allow(self, mask: bytes) -> State:
        """Say where the next answer may change the image; see `Question.mask`.

        Raises:
            InputError: if it has another size than the image.
        """
        size = self.resolution**2
        check(len(mask) in (0, size), "mask", f"hold {size} bytes, one a pixel, or none", len(mask))
        self.history.do(replace(self.state, mask=bytes(mask) if any(mask) else b""), "mask")
        return self.state

    def pin(self) -> State:
        """Compare with what is seen now from here on; pinning what is pinned lets go of it."""
        pinned = None if self.state.pinned else replace(self.state, pinned=None)
        self.history.do(replace(self.state, pinned=pinned))
        return self.state

    def reset(self) -> State:
        """Back to the point or image as it was before anything was moved."""
        self.history.do(State(self.session.home(self.state.place)))
        return self.state

    def targets(self, state: State | None = None) -> list[str]:
        """The classes that can be asked for: all but the classifier's opinion, the most probable first."""
        p = self.sight((state or self.state).place).probabilities
        return [self.class_names[k] for k in p.argsort(descending=True).tolist()[1:]]

    def question(self, target: str | None = None, count: int = 3, method: str = "latent") -> Question:
        """What would make it something else, from where the sliders stand, within the region that may change.

        Args:
            target: the class asked for; None takes the classifier's second choice.
            count: how many different answers.
            method: one of `answers.methods`.

        Raises:
            InputError: if the class, count or method is not what was expected, or the method keeps to no region.
        """
        question = Question(self.state.place, target or self.targets()[0], count, self.state.mask, method)
        self.answers.check(question)
        return question

    def take(self, question: Question, which: int = 0, at: float = 1.0) -> State:
        """Go to an answer, or part of the way there.

        Raises:
            InputError: if there is no such answer.
        """
        check_between("which", which, 0, len(self.answers.explain(question)) - 1)
        check_between("at", at, 0.0, 1.0)
        state = replace(self.state, place=question.place, walk=Walk(question, which, at), pinned=None)
        self.history.do(state, ("walk", question, which))
        return self.state

    @property
    def explanation(self) -> Explanation | None:
        """The answers that are being looked at."""
        return None if self.state.walk is None else self.answers.explain(self.state.walk.question)

    def sight(self, seen: Place | Walk) -> Sight:
        """What is seen from a place or on a walk; remembered."""
        if seen not in self._sights:
            is_walk = isinstance(seen, Walk)
            found = self.answers.sight(seen) if is_walk else self.session.at(seen, interval=True)
            self._sights[seen] = found
            for old in list(self._sights)[:-KEPT]:
                self._sights.pop(old, None)
        return self._sights[seen]

    def see(self, state: State | None = None) -> View:
        """What is seen in a state, and compared with what."""
        state = state or self.state
        now, before = self.sight(state.walk or state.place), self._before(state)
        whole = change_map(before.image, now.image)
        limit = whole if state.walk is None else self.answers.explain(state.walk.question).change[state.walk.which]
        return View(state, now, before, whole, change_limit(limit))

    def _before(self, state: State) -> Sight:
        if state.pinned is not None:
            return self.sight(state.pinned.walk or state.pinned.place)
        if state.walk is not None:
            return self.sight(replace(state.walk, at=0.0))
        home = self.session.home(state.place)
        photograph = None if state.place.image is None else self.session.images[state.place.image]
        if home != state.place or photograph is None or photograph.ws is not None:
            return self.sight(home)
        return Sight(photograph.image, photograph.probabilities, self.sight(home).w)

    def measure(self, state: State | None = None) -> Comparison:
        """What changed, in the pathologist's units.

        Raises:
            InputError: if the images are too small to be measured.
        """
        view = self.see(state)
        return compare_images(view.before.image, view.now.image)
