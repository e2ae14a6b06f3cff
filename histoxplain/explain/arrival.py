"""How far along a path an explanation begins: convincing the classifier as cheaply as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain.explain.images import quantised
from histoxplain.explain.invert import pixel_distance
from histoxplain.explain.latent_space import BATCH, draw
from histoxplain.explain.moves import Start
from histoxplain.explain.search import Move, bisect, bracket
from histoxplain.explain.views import fixed_views

if TYPE_CHECKING:
    from histoxplain.models import Bundle


@dataclass(frozen=True, eq=False)
class Arrival:
    """Where a move convinced the classifier, or failed to."""

    move: Move
    alpha: float
    """How far along the move."""
    image: Tensor
    """What is drawn there, 8-bit exact, `(C, H, W)`."""
    cost: float
    """How much the image changed, `pixel_distance`."""
    reached: bool
    """Whether the goal was reached."""

    @property
    def step(self) -> Tensor:
        """The step taken, `(num_ws, w_dim)`."""
        return self.alpha * self.move.step

    @property
    def gain(self) -> float:
        """How much of the image's detail is left."""
        return self.move.gain(self.alpha)


class Goal:
    """How far points are past the goal: a `search.Score`.

    A point is a W+ latent with one more row, which holds how much of the image's detail is left. The image as it will
    be saved must be the target with `threshold`; if it is, it must also keep the image's confidence on average over
    turned, shifted, grainy, faded and softened views.

    Args:
        bundle: the networks.
        starts: the images.
        owner: which image each row belongs to, `(N,)`.
        threshold: of the saved image.
        confidences: of the views on average, one an image.
    """

    def __init__(
        self, bundle: Bundle, starts: list[Start], owner: Tensor, threshold: float, confidences: Sequence[float]
    ) -> None:
        self.bundle, self.starts, self.owner, self.threshold = bundle, starts, owner, threshold
        self.confidences = torch.tensor(confidences)
        self.targets = torch.tensor([start.target for start in starts])

    @torch.no_grad()
    def __call__(self, points: Tensor, rows: Tensor) -> Tensor:
        """`(n, num_ws + 1, w_dim)` and the rows they belong to: the margin, `(n,)`, >= 0 where arrived."""
        pieces = zip(points.split(BATCH), rows.split(BATCH))
        return torch.cat([self.of(self.draw(some, mine), mine) for some, mine in pieces])

    def draw(self, points: Tensor, rows: Tensor) -> Tensor:
        """The images at points, `(n, C, H, W)`, unclamped."""
        details = [self.starts[i].detail for i in self.owner[rows].tolist()]
        if not details or details[0] is None:
            return draw(self.bundle.generator, points[:, :-1])
        gain = points[:, -1, :1, None, None].clamp(0, 1)
        return draw(self.bundle.generator, points[:, :-1], gain * torch.stack(details))

    def of(self, x: Tensor, rows: Tensor) -> Tensor:
        """The margin of images."""
        x = quantised(x).contiguous(memory_format=torch.channels_last)  # a third faster through convolutions
        classify, owner = self.bundle.classifier.probabilities, self.owner[rows]
        target = self.targets[owner][:, None].to(x.device)
        p = classify(x).float()
        others = p.scatter(1, target, 0.0).amax(1)
        score = p.gather(1, target)[:, 0] - others.clamp_min(self.threshold)
        good = torch.nonzero(score >= 0).flatten()
        if len(good):
            views = [p[good], *(classify(view).float() for view in fixed_views(x[good]))]
            mean = torch.stack(views).mean(0).gather(1, target[good])[:, 0]
            score[good] = mean - self.confidences[owner].to(mean)[good]
        return score


def points_of(moves: Sequence[Move]) -> tuple[Tensor, Tensor]:
    """Starts and steps of moves as points, each `(N, num_ws + 1, w_dim)`; see `Goal`."""
    starts, steps = torch.stack([m.start for m in moves]), torch.stack([m.step for m in moves])
    fade = torch.tensor([m.fade for m in moves]).to(steps)[:, None, None].expand(-1, 1, steps.shape[-1])
    return torch.cat([starts, torch.ones_like(fade)], 1), torch.cat([steps, -fade], 1)


def arrivals(
    bundle: Bundle,
    starts: list[Start],
    moves: list[list[Move]],
    keep: int,
    threshold: float,
    confidences: Sequence[float],
    rounds: int = 4,
) -> list[list[Arrival]]:
    """Follow many moves of many images at once, each as far as it has to go.

    Args:
        bundle: the networks.
        starts: N images.
        moves: the candidate moves of each.
        keep: how many moves of an image to bisect; the others cost more than these.
        threshold: see `Goal`.
        confidences: of the views of each image; see `Goal`.
        rounds: bisections.

    Returns:
        For every image the arrivals, cheapest first; empty where no move reached the goal.
    """
    owner = torch.tensor([i for i, some in enumerate(moves) for _ in some], dtype=torch.long)
    flat = [move for some in moves for move in some]
    if not flat:
        return [[] for _ in starts]
    begins, steps = points_of(flat)
    goal = Goal(bundle, starts, owner, threshold, confidences)
    low, high = bracket(goal, begins, steps)
    rows = _cheapest(goal, begins + _column(high.nan_to_num(posinf=0), steps) * steps, high.isfinite(), keep)

    def score(points: Tensor, some: Tensor) -> Tensor:
        return goal(points, rows[some])

    alpha = bisect(score, begins[rows], steps[rows], low[rows], high[rows], rounds)
    shown = quantised(goal.draw(begins[rows] + _column(alpha, steps) * steps[rows], rows))
    cost = _cost(goal, shown, rows).tolist()
    found: list[list[Arrival]] = [[] for _ in starts]
    for k, row in enumerate(rows.tolist()):
        found[int(owner[row])].append(Arrival(flat[row], float(alpha[k]), shown[k], cost[k], True))
    return [sorted(some, key=lambda arrival: arrival.cost) for some in found]


def _cost(goal: Goal, x: Tensor, rows: Tensor) -> Tensor:
    """How much images differ from those they began with, `(n,)`."""
    if not len(rows):
        return x.new_zeros(0)
    return pixel_distance(x, torch.stack([goal.starts[i].image for i in goal.owner[rows].tolist()])).cpu()


def _column(alpha: Tensor, like: Tensor) -> Tensor:
    return alpha[:, None, None].to(like)


def _cheapest(goal: Goal, ends: Tensor, reached: Tensor, keep: int) -> Tensor:
    """Of the moves that reached the goal, the `keep` of each image that change it least: their rows."""
    rows = torch.nonzero(reached).flatten()
    cost, owner = _cost(goal, goal.draw(ends[rows], rows), rows), goal.owner[rows]
    kept = []
    for i in owner.unique().tolist():
        mine = torch.nonzero(owner == i).flatten()
        kept.append(rows[mine[cost[mine].argsort()[:keep]]])
    return torch.cat(kept) if kept else rows


def last_resort(bundle: Bundle, start: Start, moves: list[Move]) -> Arrival:
    """Where nothing convinces the classifier: the whole move that comes nearest to it, marked as not reached."""
    begins, steps = points_of(moves)
    rows = torch.zeros(len(moves), dtype=torch.long)
    goal = Goal(bundle, [start], rows, 0.0, [0.0])
    shown = quantised(goal.draw(begins + steps, rows))
    with torch.no_grad():
        best = int(bundle.classifier.probabilities(shown)[:, start.target].argmax())
    return Arrival(moves[best], 1.0, shown[best], float(_cost(goal, shown, rows)[best]), False)
