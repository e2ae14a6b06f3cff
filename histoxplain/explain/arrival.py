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
from histoxplain.explain.views import FIXED, moved

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


class Goal:
    """How far latents are past the goal: a `search.Score`.

    The image as it will be saved must be the target with `threshold`; if it is, it must also keep `confidence` on
    average over turned, mirrored and shifted views.

    Args:
        bundle: the networks.
        targets: the class asked of every row, `(N,)`.
        threshold: of the saved image.
        confidence: of the views, on average, `(N,)`.
    """

    def __init__(self, bundle: Bundle, targets: Tensor, threshold: float, confidence: Tensor) -> None:
        self.bundle, self.targets, self.threshold, self.confidence = bundle, targets, threshold, confidence

    @torch.no_grad()
    def __call__(self, ws: Tensor, rows: Tensor) -> Tensor:
        """`(n, num_ws, w_dim)` and which targets they belong to: the margin, `(n,)`, >= 0 where arrived."""
        return torch.cat(
            [self.of(draw(self.bundle.generator, a), b) for a, b in zip(ws.split(BATCH), rows.split(BATCH))]
        )

    def of(self, x: Tensor, rows: Tensor) -> Tensor:
        """The same for images."""
        x = quantised(x).contiguous(memory_format=torch.channels_last)  # a third faster through convolutions
        target = self.targets[rows][:, None].to(x.device)
        p = self.bundle.classifier.probabilities(x).float()
        others = p.scatter(1, target, 0.0).amax(1)
        score = p.gather(1, target)[:, 0] - others.clamp_min(self.threshold)
        good = torch.nonzero(score >= 0).flatten()
        if len(good):
            kept = [self.bundle.classifier.probabilities(moved(x[good], *view)).float() for view in FIXED[1:]]
            mean = torch.stack([p[good], *kept]).mean(0).gather(1, target[good])[:, 0]
            score[good] = mean - self.confidence[rows].to(mean)[good]
        return score

    def of_rows(self, rows: Tensor) -> Goal:
        """The same goal for some of the rows, numbered anew."""
        return Goal(self.bundle, self.targets[rows], self.threshold, self.confidence[rows])


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
    begins, steps = torch.stack([m.start for m in flat]), torch.stack([m.step for m in flat])
    targets, sure = torch.tensor([s.target for s in starts]), torch.tensor(confidences)
    goal = Goal(bundle, targets[owner], threshold, sure[owner])
    low, high = bracket(goal, begins, steps)
    images = torch.stack([s.image for s in starts])
    rows = _cheapest(
        bundle, images, owner, begins + _column(high.nan_to_num(posinf=0), steps) * steps, high.isfinite(), keep
    )
    alpha = bisect(goal.of_rows(rows), begins[rows], steps[rows], low[rows], high[rows], rounds)
    shown = quantised(draw(bundle.generator, begins[rows] + _column(alpha, steps) * steps[rows]))
    cost = pixel_distance(shown, images[owner[rows]]).tolist()
    found: list[list[Arrival]] = [[] for _ in starts]
    for k, row in enumerate(rows.tolist()):
        found[int(owner[row])].append(Arrival(flat[row], float(alpha[k]), shown[k], cost[k], True))
    return [sorted(some, key=lambda arrival: arrival.cost) for some in found]


def _column(alpha: Tensor, like: Tensor) -> Tensor:
    return alpha[:, None, None].to(like)


def _cheapest(bundle: Bundle, images: Tensor, owner: Tensor, ends: Tensor, reached: Tensor, keep: int) -> Tensor:
    """Of the moves that reached the goal, the `keep` of each image that change it least: their rows."""
    rows = torch.nonzero(reached).flatten()
    cost = pixel_distance(draw(bundle.generator, ends[rows]), images[owner[rows]]) if len(rows) else images.new_zeros(0)
    kept = []
    for i in owner[rows].unique().tolist():
        mine = torch.nonzero(owner[rows] == i).flatten()
        kept.append(rows[mine[cost.cpu()[mine].argsort()[:keep]]])
    return torch.cat(kept) if kept else rows


def last_resort(bundle: Bundle, start: Start, moves: list[Move]) -> Arrival:
    """Where nothing convinces the classifier: the whole move that comes nearest to it, marked as not reached."""
    ends = torch.stack([move.at(1.0) for move in moves])
    shown = quantised(draw(bundle.generator, ends))
    with torch.no_grad():
        best = int(bundle.classifier.probabilities(shown)[:, start.target].argmax())
    cost = float(pixel_distance(shown[best, None], start.image[None]))
    return Arrival(moves[best], 1.0, shown[best], cost, False)
