"""Counterfactuals that change few coordinates of StyleSpace, each with a name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from histoxplain._checks import check, check_at_least, check_between
from histoxplain.explain.arrival import Arrival, Goal, Terms, arrivals, last_resort
from histoxplain.explain.detail import detailed
from histoxplain.explain.explainer import Found
from histoxplain.explain.latent_search import LatentSearch
from histoxplain.explain.latent_space import one_hot, sample_z
from histoxplain.explain.prune import fewest, prune
from histoxplain.explain.search import Move
from histoxplain.explain.spaces import StyleSpace, only_where
from histoxplain.explain.stagewise import stagewise
from histoxplain.explain.views import random_view

if TYPE_CHECKING:
    from histoxplain.explain.moves import Start
    from histoxplain.models import Bundle

AMONG = 512
"""Latents that tell how far style coordinates go."""
MARGIN = 4.0
"""By how much the target's logit should lead before coordinates are left out again."""
GRID = (0.5, 0.75, 0.9, 1.0, 1.05)
"""Where along a sparse step to look."""


class StyleSearch(LatentSearch):
    """Few coordinates of StyleSpace change, the fewest that the search finds (spec: sparse search in S).

    Two sparse steps are looked for: one by gradient, coordinate by coordinate where the classifier's margin is steepest
    (`stagewise`), no coordinate beyond its range over the generator's samples; the other is what is left of the way to
    the cheapest W+ arrival (see `LatentSearch`). Each is cut down to the fewest coordinates that still convince the
    classifier (`fewest`, `prune`) and then bisected; the better one by `criterion` wins, which is "coordinates" unless
    told otherwise. Where neither arrives, the whole W+ arrival is the answer: nothing is lost by asking for few.

    Several answers have no coordinate in common, where that is possible: each is looked for without those that changed
    before.

    `Explanation.settings` names what changed in each counterfactual: `coordinates`, how many; `layers`; `changed`, the
    names, as `StyleCoordinates` writes them, and by how many standard deviations; `disjoint`, whether no two
    counterfactuals share one.

    Args:
        bundle: the generator, with StyleSpace, and the classifier, with gradients.
        style_steps: steps of the gradient search; 0 does without it.
        stretch: how many times a coordinate's sparse step may be taken, within its range, to do with fewer.
        options: see `LatentSearch`.
    """

    method: ClassVar[str] = "style"
    criterion_unless_told = "coordinates"

    def __init__(self, bundle: Bundle, *, style_steps: int = 24, stretch: float = 2.0, **options: Any) -> None:
        super().__init__(bundle, **options)
        G = bundle.generator
        check(hasattr(G, "synthesis_from_styles"), "bundle", "have a generator with StyleSpace", type(G).__name__)
        check_at_least("style_steps", style_steps, 0)
        check_between("stretch", stretch, 1.0, 10.0)
        self.style_steps, self.stretch = style_steps, stretch
        labels = torch.arange(AMONG) % max(G.c_dim, 1)
        with torch.no_grad():
            self.space = StyleSpace(G, G.mapping(sample_z(G, AMONG, 0), one_hot(labels, G)))
        held = self.lock.styles
        self.movable = self.space.deviation > 0
        if held is not None:
            self.movable = self.movable & held.to(self.movable.device)

    def latents_free(self) -> Tensor | None:
        """Every latent of W+: what is locked is held in StyleSpace."""
        return None

    def terms(self) -> Terms:
        """See `LatentSearch.terms`; W+ arrivals are compared by the image."""
        return replace(super().terms(), criterion="l1")

    def move(self, starts: list[Start], count: int, seed: int) -> list[Found]:
        """See `GeneratorSearch.move`."""
        starts = self.with_styles(starts, self.space)
        terms = Terms(self.bundle, self.space, self.threshold, self.criterion)
        dense, sure = self.dense(terms, starts, count)
        pools: list[list[Arrival]] = [[] for _ in starts]
        free = self.movable.expand(len(starts), -1).clone()
        for turn in range(count):
            found = self.sparse(terms, starts, dense, sure, free, seed + turn)
            for i, arrival in enumerate(found):
                if arrival is not None:
                    pools[i].append(arrival)
                    free[i] &= arrival.move.step == 0
        return [self.result(*row, count) for row in zip(starts, pools, dense, sure)]

    def dense(self, terms: Terms, starts: list[Start], count: int) -> tuple[list[list[Arrival]], list[float]]:
        """The simple path: W+ arrivals as steps of StyleSpace in which every coordinate takes part that may."""
        pools, sure, _ = self.first(starts, count, keep=2 * count if count > 1 else 2)
        moves = [[self.in_styles(start, arrival) for arrival in pool] for start, pool in zip(starts, pools)]
        grids = [[GRID] * len(some) for some in moves]
        found = arrivals(terms, starts, moves, 2 * count, sure, grids=grids)
        for i in [i for i, some in enumerate(found) if not some]:
            found[i] = [last_resort(terms, starts[i], moves[i])]
        return found, sure

    @torch.no_grad()
    def in_styles(self, start: Start, arrival: Arrival) -> Move:
        """A W+ arrival as a move in StyleSpace, without what is locked."""
        step = self.space.of((start.ws + arrival.step)[None])[0] - start.style
        return Move(start.style, step * self.movable, arrival.move.name, 1 - arrival.gain)

    def sparse(
        self, terms: Terms, starts: list[Start], dense: list[list[Arrival]], sure: list[float], free: Tensor, seed: int
    ) -> list[Arrival | None]:
        """Each image's best sparse arrival with only the coordinates of `free` `(N, S)`; None where none arrives."""
        styles = torch.stack([start.style for start in starts])
        low, high = (
            ((end - styles) / self.space.deviation.clamp_min(1e-12)) for end in (self.space.low, self.space.high)
        )
        box = low.clamp_max(0) * free, high.clamp_min(0) * free
        along = torch.stack([self.space.deviations(pool[0].step[None])[0] for pool in dense]) * free
        slope = Slope(self, starts, seed)
        ways = {"few of the way": along}
        if self.style_steps:
            ways["gradient"] = stagewise(slope, *box, self.style_steps)
        flat = slope(torch.zeros_like(along))[1]
        cuts = []
        for name, way in ways.items():
            worth = (flat + slope(way)[1]) / 2 * way
            for longer in {1.0, self.stretch} if self.criterion == "coordinates" else {1.0}:
                reach = torch.maximum(
                    torch.minimum(longer * way, torch.maximum(box[1], way)), torch.minimum(box[0], way)
                )
                cuts.append(Cut(self, terms, starts, sure, name, self.space.deviation * reach, worth))
        best = torch.stack([cut.cost for cut in cuts]).argmin(0).tolist()
        moves: list[list[Move]] = [[] for _ in starts]
        for which, cut in enumerate(cuts):
            rows = [i for i, winner in enumerate(best) if winner == which and cut.cost[i].isfinite()]
            for i, step in zip(rows, cut.pruned(rows)):
                moves[i].append(Move(styles[i], step, cut.name))
        grids = [[GRID] * len(some) for some in moves]
        return [pool[0] if pool else None for pool in arrivals(terms, starts, moves, 1, sure, grids=grids)]

    def result(self, start: Start, pool: list[Arrival], dense: list[Arrival], sure: float, count: int) -> Found:
        """The sparse arrivals, filled up with dense ones that differ where they are too few."""
        best = sorted(pool, key=lambda arrival: arrival.cost)
        if len(best) < count and (not best or any(arrival.reached for arrival in dense)):
            best += self.chosen(dense, count - len(best))
        changes = [self.changes(arrival) for arrival in best]
        parts = [{(one.layer, one.channel) for one in some} for some in changes]
        settings = {
            "coordinates": [len(some) for some in changes],
            "layers": [sorted({one.layer for one in some}, key=self.space.layers.index) for some in changes],
            "changed": [[one.to_json() for one in some[:NAMED]] for some in changes],
            "disjoint": all(not (a & b) for i, a in enumerate(parts) for b in parts[:i]),
        }
        return self.answer(start, best, sure, settings)

    def changes(self, arrival: Arrival) -> list[CoordinateChange]:
        """What an arrival changed, the largest change in standard deviations first."""
        moved = self.space.deviations(arrival.step[None])[0]
        order = moved.abs().argsort(descending=True)[: int((arrival.step != 0).sum())].tolist()
        places = self.space.places(order)
        return [CoordinateChange(*place, float(moved[i])) for place, i in zip(places, order)]


class Cut:
    """The fewest coordinates of each image's step that still arrive.

    Args:
        search: gives the networks and the space.
        terms: of the search.
        starts: N images, with their styles.
        sure: the confidence asked of each.
        name: what to call the step.
        step: `(N, S)`.
        worth: what each coordinate adds to the classifier's margin, `(N, S)`.

    Attributes:
        cost: of each image's step once cut, `(N,)`; infinite where none arrives.
    """

    def __init__(
        self,
        search: StyleSearch,
        terms: Terms,
        starts: list[Start],
        sure: list[float],
        name: str,
        step: Tensor,
        worth: Tensor,
    ) -> None:
        self.name, self.step, self.worth = name, step, worth.cpu()
        self.styles = torch.stack([start.style for start in starts])
        self.goal = Goal(terms, starts, torch.arange(len(starts)), sure)
        order = worth.masked_fill(step == 0, -torch.inf).argsort(1, descending=True).cpu()
        self.kept, ok = fewest(self.enough, order, (step != 0).sum(1).cpu())
        self.cost = self.goal.costs.masked_fill(~ok, torch.inf)

    def enough(self, kept: Tensor, rows: Tensor) -> Tensor:
        """How far past the goal images are with only some coordinates, `(n, S)` bool, of the step: `prune.Enough`."""
        points = self.styles[rows] + self.step[rows] * kept.to(self.step)
        return self.goal(torch.cat([points, torch.ones_like(points[:, :1])], 1), rows)

    def pruned(self, rows: list[int]) -> Tensor:
        """The steps of some images without what can be done without, `(len(rows), S)`."""
        some = torch.tensor(rows, dtype=torch.long)
        kept = self.kept[some]
        if len(some):
            kept = prune(lambda tried, mine: self.enough(tried, some[mine]), kept, self.worth[some])
        return self.step[some] * kept.to(self.step)


NAMED = 50
"""Changed coordinates that a record names, at most, of each counterfactual."""


@dataclass(frozen=True)
class CoordinateChange:
    """One coordinate of StyleSpace, and how far it went."""

    layer: str
    channel: int
    deviations: float
    """In standard deviations over the generator's samples."""

    def to_json(self) -> dict[str, Any]:
        """Name, as `StyleCoordinates.names` has it, and deviations."""
        way = "up" if self.deviations > 0 else "down"
        return {"name": f"{self.layer} {self.channel} {way}", "deviations": round(self.deviations, 2)}


class Slope:
    """The classifier's margin where images are changed in StyleSpace, and its gradient: a `stagewise.Slope`.

    Args:
        search: gives the networks and the space.
        starts: N images, with their styles.
        seed: draws a view of the images for each call.
    """

    def __init__(self, search: StyleSearch, starts: list[Start], seed: int) -> None:
        self.search, self.draws = search, torch.Generator().manual_seed(seed)
        self.styles = torch.stack([start.style for start in starts])
        self.detail = None if starts[0].detail is None else torch.stack([start.detail for start in starts])
        self.mask = starts[0].mask
        self.originals = None if self.mask is None else torch.stack([start.original for start in starts])
        classes = len(search.bundle.class_names)
        targets = torch.tensor([start.target for start in starts], device=self.styles.device)
        self.target = F.one_hot(targets, classes).bool()

    def __call__(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """`u` `(N, S)` in standard deviations: the margin less `MARGIN`, `(N,)`, and its gradient `(N, S)`."""
        search = self.search
        with torch.enable_grad():
            u = u.detach().requires_grad_()
            with detailed(search.space.generator, self.detail):
                x = search.space.image(self.styles + u * search.space.deviation)
            x = random_view(only_where(self.mask, x, self.originals), self.draws)
            logits = search.bundle.classifier(x.contiguous(memory_format=torch.channels_last))
            margin = logits[self.target] - logits.masked_fill(self.target, -torch.inf).amax(1)
            (gradient,) = torch.autograd.grad(margin.sum(), u)
        return margin.detach() - MARGIN, gradient.detach()
