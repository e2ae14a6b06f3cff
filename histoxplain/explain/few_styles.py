"""Counterfactuals that change few coordinates of StyleSpace, each with a name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from histoxplain._checks import check, check_at_least
from histoxplain.explain.arrival import Arrival, Terms, arrivals, confirmed, last_resort
from histoxplain.explain.latent_search import LatentSearch
from histoxplain.explain.latent_space import one_hot, sample_z
from histoxplain.explain.search import Move
from histoxplain.explain.spaces import StyleSpace
from histoxplain.explain.style_task import StyleTask

if TYPE_CHECKING:
    from histoxplain.explain.explainer import Found
    from histoxplain.explain.moves import Start
    from histoxplain.models import Bundle

AMONG = 512
"""Latents that tell how far style coordinates go."""
MOST = 32
"""Coordinates that may change together."""
TRIED = 16
"""Candidates for the next one."""
GRID = (0.5, 0.75, 0.9, 1.0, 1.05)
"""Where along a step to look."""
NAMED = 50
"""Changed coordinates that a record names, at most, of each counterfactual."""


class StyleSearch(LatentSearch):
    """Few coordinates of StyleSpace change, at most `most`.

    The coordinate that convinces the classifier most, taken to the end of its range over the generator's samples, is
    changed first, then the one that helps most now, and so on until the goal is reached (see `Greedy`); what can be
    done without then goes back (`prune`), and the others go only as far as they have to. Where `most` do not convince
    the classifier by `confidence`, less will do, never less than the threshold. Where that fails, too, the answer of a
    W+ search is taken instead (see `LatentSearch`), in which nearly every coordinate takes part; the record says so.

    Several answers have no coordinate in common, where that is possible: each is looked for without those that changed
    before.

    `Explanation.settings` names what changed in each counterfactual: `coordinates`, how many; `layers`; `changed`, the
    names, as `StyleCoordinates` writes them, and by how many standard deviations; `disjoint`, whether no two
    counterfactuals share one; `few`, False for those of the W+ search; `instead`, where there are such, says so.

    Args:
        bundle: the generator, with StyleSpace, and the classifier, with gradients.
        most: how many coordinates may change together.
        options: see `LatentSearch`.
    """

    method: ClassVar[str] = "style"
    criterion_unless_told = "coordinates"

    def __init__(self, bundle: Bundle, *, most: int = MOST, **options: Any) -> None:
        super().__init__(bundle, **options)
        G = bundle.generator
        check(hasattr(G, "synthesis_from_styles"), "bundle", "have a generator with StyleSpace", type(G).__name__)
        check_at_least("most", most, 1)
        self.most = most
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
        sure, few = [self.confidence] * len(starts), [[] for _ in starts]
        free = self.movable.expand(len(starts), -1).clone()
        for turn in range(count):
            for i, arrival in enumerate(self.sparse(terms, starts, sure, free, seed + turn)):
                if arrival is not None:
                    few[i].append(arrival)
                    free[i] &= arrival.move.step == 0
        few = confirmed(terms, starts, few, sure)
        rows = [i for i, some in enumerate(few) if len(some) < count]
        dense = dict(zip(rows, self.dense(terms, [starts[i] for i in rows], count))) if rows else {}
        return [self.result(start, few[i], *dense.get(i, ([], 1.0)), sure[i], count) for i, start in enumerate(starts)]

    def sparse(
        self, terms: Terms, starts: list[Start], sure: list[float], free: Tensor, seed: int
    ) -> list[Arrival | None]:
        """Each image's best sparse arrival with only the coordinates of `free` `(N, S)`; None where none arrives.

        `sure` is lowered where the confidence asked for is not to be had.
        """
        steps, reached = StyleTask(terms, starts, sure, seed).few(free, self.most, TRIED)
        for less in ((self.confidence + self.threshold) / 2, self.threshold):
            rows = torch.nonzero(~reached & (steps != 0).any(1).cpu()).flatten()
            if len(rows):
                task = StyleTask(terms, starts, [less] * len(starts), seed)
                reached[rows] = task.enough(steps[rows], rows).cpu() >= 0
                for i in rows[reached[rows]].tolist():
                    sure[i] = min(sure[i], less)
        rows = torch.nonzero(reached).flatten()
        steps[rows] = StyleTask(terms, starts, sure, seed).pruned(steps[rows], rows)
        moves = [
            [Move(start.style, step, "few coordinates")] if ok else []
            for start, step, ok in zip(starts, steps, reached.tolist())
        ]
        grids = [[GRID] * len(some) for some in moves]
        return [pool[0] if pool else None for pool in arrivals(terms, starts, moves, 1, sure, grids=grids)]

    def dense(self, terms: Terms, starts: list[Start], count: int) -> list[tuple[list[Arrival], float]]:
        """The W+ search's arrivals as steps of StyleSpace in which every coordinate takes part that may."""
        pools, sure, _ = self.first(starts, count, keep=2 * count if count > 1 else 2)
        moves = [[self.in_styles(start, arrival) for arrival in pool] for start, pool in zip(starts, pools)]
        grids = [[GRID] * len(some) for some in moves]
        found = arrivals(terms, starts, moves, 2 * count, sure, grids=grids)
        for i in [i for i, some in enumerate(found) if not some]:
            found[i] = [last_resort(terms, starts[i], moves[i])]
        return list(zip(self.settled(terms, starts, found, count, sure), sure))

    @torch.no_grad()
    def in_styles(self, start: Start, arrival: Arrival) -> Move:
        """A W+ arrival as a move in StyleSpace, without what is locked."""
        step = self.space.of((start.ws + arrival.step)[None])[0] - start.style
        return Move(start.style, step * self.movable, arrival.move.name, 1 - arrival.gain)

    def result(
        self, start: Start, few: list[Arrival], dense: list[Arrival], less: float, sure: float, count: int
    ) -> Found:
        """The sparse arrivals, filled up with dense ones where they are too few."""
        if few and not any(arrival.reached for arrival in dense):
            dense = []
        best = sorted(few, key=lambda arrival: arrival.cost) + dense[: count - len(few)]
        changes = [self.changes(arrival) for arrival in best]
        parts = [{(one.layer, one.channel) for one in some} for some in changes]
        settings = {
            "coordinates": [len(some) for some in changes],
            "layers": [sorted({one.layer for one in some}, key=self.space.layers.index) for some in changes],
            "changed": [[one.to_json() for one in some[:NAMED]] for some in changes],
            "disjoint": all(not (a & b) for i, a in enumerate(parts) for b in parts[:i]),
            "few": [i < len(few) for i in range(len(best))],
        }
        if len(best) > len(few):
            which = "other coordinates" if few else "coordinates"
            settings["instead"] = f"No {self.most} {which} or fewer were found to be enough: nearly all change."
        return self.answer(start, best, min(sure, less) if len(best) > len(few) else sure, settings)

    def changes(self, arrival: Arrival) -> list[CoordinateChange]:
        """What an arrival changed, the largest change in standard deviations first."""
        moved = self.space.deviations(arrival.step[None])[0]
        order = moved.abs().argsort(descending=True)[: int((arrival.step != 0).sum())].tolist()
        places = self.space.places(order)
        return [CoordinateChange(*place, float(moved[i])) for place, i in zip(places, order)]


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
