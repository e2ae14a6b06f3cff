"""How far along a path an explanation begins: convincing the classifier as cheaply as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain.data import to_uint8, to_unit
from histoxplain.explain.criteria import Criterion
from histoxplain.explain.images import quantised
from histoxplain.explain.latent_space import BATCH
from histoxplain.explain.quick import quick_classifier
from histoxplain.explain.search import GRID, Move, bisect, bracket
from histoxplain.explain.spaces import only_where, paint
from histoxplain.explain.views import fixed_views

if TYPE_CHECKING:
    from histoxplain.explain.moves import Start
    from histoxplain.explain.spaces import Space
    from histoxplain.models import Bundle


FEW = 4
"""Up to so many images are shown in all views at once; of more, those that fail in one view are spared the others."""
FARTHER = (1.0, 1.02, 1.05, 1.1)
"""How much farther a move is taken at most where the bundle's own networks are not convinced yet."""


@dataclass(frozen=True, eq=False)
class Arrival:
    """Where a move convinced the classifier, or failed to."""

    move: Move
    alpha: float
    """How far along the move."""
    image: Tensor
    """What is drawn there, 8-bit exact, `(C, H, W)`."""
    cost: float
    """How much changed, by the search's criterion."""
    reached: bool
    """Whether the goal was reached."""

    @property
    def step(self) -> Tensor:
        """The step taken, in the shape of the move."""
        return self.alpha * self.move.step

    @property
    def gain(self) -> float:
        """How much of the image's detail is left."""
        return self.move.gain(self.alpha)


@dataclass(frozen=True, eq=False)
class Terms:
    """What a search moves in, what it must reach, and what it minimises."""

    bundle: Bundle
    space: Space
    threshold: float
    """Probability that the saved image must reach."""
    criterion: str = "l1"
    """See `Criterion`."""
    rounds: int = 3
    """Bisections of each interval."""
    exact: bool = False
    """Draw and classify with the bundle's own networks, not with quick ones; see `quick`."""


class Goal:
    """How far points are past the goal: a `search.Score`.

    A point is a row of the space's numbers, and one more that tells how much of the image's detail is left. The image
    as it will be saved must be the target with the threshold's probability; if it is, it must also keep the image's
    confidence on average over turned, shifted, grainy, faded and softened views.

    Args:
        terms: see `Terms`.
        starts: the images.
        owner: which image each row belongs to, `(N,)`.
        confidences: of the views on average, one an image.
        limits: what a change may cost, one an image; points beyond are not looked at any further.
        keep: how many arrivals of an image are wanted: what costs more than so many others is not looked at either.

    Attributes:
        costs: of the last arrival of each row, `(N,)`; infinite where there was none.
    """

    def __init__(
        self,
        terms: Terms,
        starts: list[Start],
        owner: Tensor,
        confidences: Sequence[float],
        limits: Sequence[float] | None = None,
        keep: int | None = None,
    ) -> None:
        self.terms, self.starts, self.owner, self.keep = terms, starts, owner, keep
        self.criterion = Criterion(terms.criterion, terms.bundle, terms.space)
        self.confidences = torch.tensor(confidences)
        self.targets = torch.tensor([start.target for start in starts])
        self.limits = torch.full((len(starts),), torch.inf) if limits is None else torch.tensor(limits)
        self.costs = torch.full((len(owner),), torch.inf)
        self.shown: dict[int, Tensor] = {}
        classifier = terms.bundle.classifier
        self.classifier = classifier if terms.exact else quick_classifier(classifier)

    @torch.no_grad()
    def __call__(self, points: Tensor, rows: Tensor) -> Tensor:
        """`(n, P + 1)` and the rows they belong to: the margin, `(n,)`, >= 0 where arrived."""
        x = quantised(self.draw(points, rows))
        cost = self.cost(x, points, rows)
        near = torch.nonzero(cost <= self.limits[self.owner[rows]]).flatten()
        score = torch.full((len(rows),), -torch.inf)
        if len(near):
            score[near] = self.of(x[near], rows[near]).cpu()
        for i in torch.nonzero(score >= 0).flatten().tolist():
            self.costs[rows[i]], self.shown[int(rows[i])] = cost[i], to_uint8(x[i])
        self._tighten(rows[score >= 0])
        return score

    def _tighten(self, rows: Tensor) -> None:
        for i in self.owner[rows].unique().tolist() if self.keep else ():
            found = self.costs[self.owner == i].sort().values
            if len(found) >= self.keep:
                self.limits[i] = min(float(self.limits[i]), float(found[self.keep - 1]))

    def cost(self, x: Tensor, points: Tensor, rows: Tensor) -> Tensor:
        """What the change to images `(n, C, H, W)` drawn at points costs, `(n,)`."""
        if not len(rows):
            return torch.zeros(0)
        starts = [self.starts[i] for i in self.owner[rows].tolist()]
        steps = points[:, :-1] - torch.stack([start.point(self.terms.space) for start in starts])
        return self.criterion(x, torch.stack([start.image for start in starts]), steps).cpu()

    def image(self, row: int) -> Tensor:
        """The 8-bit exact image of a row's last arrival, `(C, H, W)`."""
        return to_unit(self.shown[row])

    def draw(self, points: Tensor, rows: Tensor) -> Tensor:
        """The images at points, `(n, C, H, W)`, unclamped."""
        starts = [self.starts[i] for i in self.owner[rows].tolist()]
        detail = None
        if starts and starts[0].detail is not None:
            gain = points[:, -1, None, None, None].clamp(0, 1)
            detail = gain * torch.stack([start.detail for start in starts])
        x = paint(self.terms.space, points[:, :-1], detail, quick=not self.terms.exact)
        if not starts or starts[0].mask is None:
            return x
        return only_where(starts[0].mask, x, torch.stack([start.original for start in starts]))

    def of(self, x: Tensor, rows: Tensor) -> Tensor:
        """The margin of images; where it is below zero, it may lie further below."""
        x, owner = quantised(x), self.owner[rows]
        target = self.targets[owner][:, None].to(x.device)
        p = self.classified(x)
        others = p.scatter(1, target, 0.0).amax(1)
        mine = p.gather(1, target)[:, 0]
        score = mine - others.clamp_min(self.terms.threshold)
        good = torch.nonzero(score >= 0).flatten()
        if len(good):
            score[good] = self._from_all_sides(
                x[good], mine[good], target[good], self.confidences[owner].to(mine)[good]
            )
        return score

    def _from_all_sides(self, x: Tensor, p: Tensor, target: Tensor, wanted: Tensor) -> Tensor:
        """By how much the mean probability over the views exceeds what is wanted; ends where it cannot any more."""
        views = torch.stack(fixed_views(x))
        best, left = p + len(views), torch.arange(len(x), device=x.device)
        for some in views.split(len(views) if len(x) <= FEW else 1):
            left = left[best[left] / (len(views) + 1) >= wanted[left]]
            if not len(left):
                break
            seen = self.classified(some[:, left].flatten(0, 1)).unflatten(0, (len(some), -1))
            best[left] += (seen.gather(2, target[left].expand(len(some), -1, -1))[..., 0] - 1).sum(0)
        return best / (len(views) + 1) - wanted

    def classified(self, x: Tensor) -> Tensor:
        """What the classifier, or its quick copy, says of images: probabilities `(n, K)`, float32."""
        x = x.contiguous(memory_format=torch.channels_last)  # a third faster through convolutions
        return torch.cat([self.classifier.probabilities(some).float() for some in x.split(BATCH)])


def points_of(moves: Sequence[Move]) -> tuple[Tensor, Tensor]:
    """Starts and steps of moves as points, each `(N, P + 1)`; see `Goal`."""
    starts, steps = torch.stack([m.start.flatten() for m in moves]), torch.stack([m.step.flatten() for m in moves])
    fade = torch.tensor([m.fade for m in moves]).to(steps)[:, None]
    return torch.cat([starts, torch.ones_like(fade)], 1), torch.cat([steps, -fade], 1)


def arrivals(
    terms: Terms,
    starts: list[Start],
    moves: list[list[Move]],
    keep: int,
    confidences: Sequence[float],
    limits: Sequence[float] | None = None,
    grids: list[list[Sequence[float]]] | None = None,
) -> list[list[Arrival]]:
    """Follow many moves of many images at once, each as far as it has to go.

    Args:
        terms: see `Terms`.
        starts: N images.
        moves: the candidate moves of each.
        keep: how many moves of an image to bisect; the others cost more than these.
        confidences: of the views of each image; see `Goal`.
        limits: what a change may cost, one an image; see `Goal`.
        grids: for every move, equally many rising values of alpha to try; by default `GRID`.

    Returns:
        For every image the arrivals, cheapest first; empty where no move reached the goal.
    """
    owner = torch.tensor([i for i, some in enumerate(moves) for _ in some], dtype=torch.long)
    flat = [move for some in moves for move in some]
    if not flat:
        return [[] for _ in starts]
    begins, steps = points_of(flat)
    goal = Goal(terms, starts, owner, confidences, limits, keep)
    low, high = bracket(
        goal, begins, steps, GRID if grids is None else torch.tensor([grid for some in grids for grid in some])
    )
    rows = _cheapest(goal, keep)

    def score(points: Tensor, some: Tensor) -> Tensor:
        return goal(points, rows[some])

    alpha = bisect(score, begins[rows], steps[rows], low[rows], high[rows], terms.rounds)
    found: list[list[Arrival]] = [[] for _ in starts]
    for k, row in enumerate(rows.tolist()):
        found[int(owner[row])].append(
            Arrival(flat[row], float(alpha[k]), goal.image(row), float(goal.costs[row]), True)
        )
    return [sorted(some, key=lambda arrival: arrival.cost) for some in found]


def _cheapest(goal: Goal, keep: int) -> Tensor:
    """Of the rows that arrived, the `keep` of each image that cost least."""
    rows = torch.nonzero(goal.costs.isfinite()).flatten()
    kept = [rows[:0]]
    for i in goal.owner[rows].unique().tolist():
        mine = rows[goal.owner[rows] == i]
        kept.append(mine[goal.costs[mine].argsort()[:keep]])
    return torch.cat(kept)


def confirmed(
    terms: Terms, starts: list[Start], pools: list[list[Arrival]], confidences: Sequence[float]
) -> list[list[Arrival]]:
    """Arrivals of each image drawn and judged by the bundle's own networks.

    Where quick ones were too hopeful, a move is taken a little farther; an arrival that is none even there is left out.
    """
    exact = replace(terms, exact=True, rounds=0)
    moves = [[arrival.move for arrival in pool if arrival.reached] for pool in pools]
    grids = [[[k * arrival.alpha for k in FARTHER] for arrival in pool if arrival.reached] for pool in pools]
    return arrivals(exact, starts, moves, max(map(len, pools), default=1), confidences, grids=grids)


def last_resort(terms: Terms, start: Start, moves: list[Move]) -> Arrival:
    """Where nothing convinces the classifier: the whole move that comes nearest to it, marked as not reached."""
    begins, steps = points_of(moves)
    rows = torch.zeros(len(moves), dtype=torch.long)
    goal = Goal(replace(terms, exact=True), [start], rows, [0.0])
    shown = quantised(goal.draw(begins + steps, rows))
    with torch.no_grad():
        best = int(terms.bundle.classifier.probabilities(shown)[:, start.target].argmax())
    cost = goal.cost(shown, begins + steps, rows)
    return Arrival(moves[best], 1.0, shown[best], float(cost[best]), False)
