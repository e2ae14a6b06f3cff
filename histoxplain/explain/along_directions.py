"""The smallest step along given directions that changes the classifier's mind."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from histoxplain._checks import InputError, check, check_at_least, check_between
from histoxplain.explain.arrival import Goal, Terms, arrivals, last_resort, points_of
from histoxplain.explain.directions import Directions
from histoxplain.explain.finding import find_directions
from histoxplain.explain.generator_search import GeneratorSearch
from histoxplain.explain.search import Move
from histoxplain.explain.spaces import Space, StyleSpace, WPlus
from histoxplain.explain.style_coordinates import StyleCoordinates

if TYPE_CHECKING:
    from histoxplain.explain.explainer import Found
    from histoxplain.explain.moves import Start
    from histoxplain.models import Bundle

HALF = 0.5
"""Where along each direction its effect is measured before several are combined."""


class DirectionSearch(GeneratorSearch):
    """The smallest step along one direction whose saved image the classifier gives to the target; else along a few.

    Every direction is followed both ways (style coordinates in the sense they were found with) and the cheapest arrival
    by `criterion` wins. Where none arrives alone, the 2, 3, ... that raise the classifier's margin most are followed
    together, in equal shares of their reach.

    `Explanation.settings` names the directions in `moves`, and in `alpha` what part of the reach each took.

    Args:
        bundle: the generator and the classifier.
        directions: `Directions` of W, `StyleCoordinates`, or a file of either; None takes those of the classifier's
            boundaries, see `find_directions`.
        few: how many may be combined.
        reach: how far directions of W are followed, in standard deviations; style coordinates go to the end of their
            range.
        options: see `GeneratorSearch`.
    """

    method: ClassVar[str] = "directions"

    def __init__(
        self,
        bundle: Bundle,
        *,
        directions: Directions | StyleCoordinates | str | Path | None = None,
        few: int = 3,
        reach: float = 6.0,
        **options: Any,
    ) -> None:
        super().__init__(bundle, **options)
        check_at_least("few", few, 1)
        check_between("reach", reach, 0.1, 100.0)
        self.few, self.reach = few, reach
        self.given = read_directions(directions) if isinstance(directions, str | Path) else directions
        kinds = Directions | StyleCoordinates | None
        way_out = "use `hx.explain.find_directions` or `AttFind`"
        check(isinstance(self.given, kinds), "directions", "be directions", type(directions).__name__, way_out)
        self.free = self.lock.styles if isinstance(self.given, StyleCoordinates) else self.lock.ws()

    @cached_property
    def directions(self) -> Directions | StyleCoordinates:
        """The directions to follow."""
        return find_directions(self.bundle) if self.given is None else self.given

    @cached_property
    def space(self) -> Space:
        """The space they lie in."""
        if isinstance(self.directions, StyleCoordinates):
            return StyleSpace(self.bundle.generator, self.directions.ws.to(self.device))
        return WPlus(self.bundle)

    def move(self, starts: list[Start], count: int, seed: int) -> list[Found]:
        """See `GeneratorSearch.move`; nothing is drawn at random."""
        terms = Terms(self.bundle, self.space, self.threshold, self.criterion)
        starts = self.with_styles(starts, self.space)
        moves = [self.paths(start) for start in starts]
        keep, sure = 2 * count if count > 1 else 2, [self.confidence] * len(starts)
        pools = arrivals(terms, starts, moves, keep, sure)
        for less in (self.confidence, (self.confidence + self.threshold) / 2, self.threshold):
            rows = [i for i, pool in enumerate(pools) if not pool]
            some = [starts[i] for i in rows]
            more = [moves[i] + self.together(terms, starts[i], moves[i]) for i in rows]
            for i, pool in zip(rows, arrivals(terms, some, more, keep, [less] * len(rows))):
                sure[i], pools[i] = less, pool
        for i in [i for i, pool in enumerate(pools) if not pool]:
            pools[i] = [last_resort(terms, starts[i], moves[i])]
        best = self.settled(terms, starts, pools, count, sure)
        sizes = [{"candidates": len(pool)} for pool in pools]
        return [self.answer(*row) for row in zip(starts, best, sure, sizes)]

    def paths(self, start: Start) -> list[Move]:
        """Every direction as a path from an image, without what is locked."""
        found = self.directions
        if isinstance(found, StyleCoordinates):
            return [Move(start.style, step, name) for step, name in zip(self.style_steps(start), found.names)]
        free = torch.ones(len(start.ws)) if self.free is None else self.free
        moves = []
        for name, vector in found:
            step = self.reach * free[:, None].to(start.ws) * vector.to(start.ws)
            moves += [Move(start.ws, step, f"{name} forward"), Move(start.ws, -step, f"{name} back")]
        return moves

    def style_steps(self, start: Start) -> list[Tensor]:
        """For every coordinate the step to the end of its range, `(S,)`; nothing where it is locked."""
        steps, found = [], self.directions
        for layer, channel, sign, end in zip(found.layers, found.channels, found.signs, found.ends.tolist()):
            step, place = torch.zeros_like(start.style), self.space.place(layer, channel)
            if self.free is None or self.free[place]:
                step[place] = found.shift * sign * max(sign * (end - float(start.style[place])), 0.0)
            steps.append(step)
        return steps

    @torch.no_grad()
    def together(self, terms: Terms, start: Start, moves: list[Move]) -> list[Move]:
        """The 2, 3, ..., `few` paths that promise most, each as one: their effects are measured half of the way."""
        begins, steps = points_of(moves)
        rows = torch.zeros(len(moves), dtype=torch.long)
        x = Goal(terms, [start], rows, [0.0]).draw(begins + HALF * steps, rows)
        p = torch.cat([self.bundle.classifier.probabilities(some).float() for some in x.split(32)])
        order = p.clamp_min(1e-9).log()[:, start.target].argsort(descending=True).tolist()
        chosen: list[Move] = []
        for i in order:
            opposite = any(bool((moves[i].step == -one.step).all()) for one in chosen)
            if not opposite and bool((moves[i].step != 0).any()):
                chosen.append(moves[i])
        return [
            Move(chosen[0].start, sum(one.step for one in chosen[:n]), " and ".join(one.name for one in chosen[:n]))
            for n in range(2, min(self.few, len(chosen)) + 1)
        ]


def read_directions(path: str | Path) -> Directions | StyleCoordinates:
    """Directions of W or style coordinates, whichever a file holds.

    Raises:
        InputError: if it is missing or holds neither.
    """
    try:
        return Directions.load(path)
    except InputError as error:
        try:
            return StyleCoordinates.load(path)
        except InputError:
            raise error from None
