"""Classifier-guided search in a generator's W+: the smallest move that changes the classifier's mind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from histoxplain._checks import check_at_least
from histoxplain.explain.arrival import Arrival, Terms, arrivals, last_resort
from histoxplain.explain.diverse import PATIENCE
from histoxplain.explain.generator_search import GeneratorSearch
from histoxplain.explain.latent_space import latent_space
from histoxplain.explain.moves import Descent, Start, anchor_moves, blended_moves, class_moves
from histoxplain.explain.spaces import WPlus

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.explain.explainer import Found
    from histoxplain.explain.search import Move
    from histoxplain.models import Bundle


class LatentSearch(GeneratorSearch):
    """The smallest move in W+ whose saved image the classifier gives to the target, without leaving real tissue.

    Candidates are straight paths from the image's latent: towards the same noise under the other label (generated
    images), along the difference of class means, towards samples of the target class, and along a blend of these found
    by gradient descent on the classifier's margin. Paths are bracketed and bisected, and the one that costs least by
    `criterion` wins. What already costs more than the best is not followed any further. All layers move: with fewer the
    classifier is convinced by smaller changes, but an independent one less often.

    Args:
        bundle: the generator and the classifier.
        gradient_steps: steps of the gradient descent; 0 leaves it out.
        anchors: how many samples of the target class to move towards.
        options: see `GeneratorSearch`.
    """

    method: ClassVar[str] = "latent"

    def __init__(self, bundle: Bundle, *, gradient_steps: int = 8, anchors: int = 4, **options: Any) -> None:
        super().__init__(bundle, **options)
        check_at_least("gradient_steps", gradient_steps, 0)
        check_at_least("anchors", anchors, 1)
        self.gradient_steps, self.anchors = gradient_steps, anchors
        self.free = self.latents_free()

    def move(self, starts: list[Start], count: int, seed: int) -> list[Found]:
        """See `GeneratorSearch.move`."""
        several = count > 1
        pools, sure, moves = self.first(starts, count, keep=2 * count if several else 2)
        if self.gradient_steps:
            self.extend(pools, starts, self.refined(starts, moves, pools, seed), count, sure)
        best = self.settled(self.terms(), starts, pools, count, sure)
        sizes = [{"candidates": len(pool)} for pool in pools]
        return [self.answer(*row) for row in zip(starts, best, sure, sizes)]

    def latents_free(self) -> Tensor | None:
        """Which latents of W+ may move, `(num_ws,)` bool; None is all of them."""
        return self.lock.ws()

    def terms(self) -> Terms:
        """What the search moves in, must reach and minimises."""
        return Terms(self.bundle, WPlus(self.bundle), self.threshold, self.criterion)

    def paths(self, start: Start, count: int) -> list[Move]:
        """The first paths of an image, with what is locked held still."""
        space, G = latent_space(self.bundle), self.bundle.generator
        anchors = self.anchors + (2 * count if count > 1 else 0)
        with torch.no_grad():
            moves = class_moves(start, space, G) + anchor_moves(start, space, anchors)
        if self.free is None:
            return moves
        return [replace(move, step=move.step * self.free[:, None].to(move.step)) for move in moves]

    def first(
        self, starts: list[Start], count: int, keep: int
    ) -> tuple[list[list[Arrival]], list[float], list[list[Move]]]:
        """Follow the first paths; where none gets the full confidence, ask for less of it, never below the threshold.

        Returns:
            The arrivals of each image, at least one, the confidence asked of each, and their paths.
        """
        terms, moves = self.terms(), [self.paths(start, count) for start in starts]
        sure = [self.confidence] * len(starts)
        pools = arrivals(terms, starts, moves, keep, sure)
        for less in ((self.confidence + self.threshold) / 2, self.threshold):
            rows = [i for i, pool in enumerate(pools) if not pool]
            again = arrivals(terms, [starts[i] for i in rows], [moves[i] for i in rows], keep, [less] * len(rows))
            for i, pool in zip(rows, again):
                sure[i], pools[i] = less, pool
        for i in [i for i, pool in enumerate(pools) if not pool]:
            pools[i] = [last_resort(terms, starts[i], moves[i])]
        return pools, sure, moves

    def extend(
        self,
        pools: list[list[Arrival]],
        starts: list[Start],
        moves: list[Move],
        count: int,
        sure: list[float],
    ) -> None:
        """Follow one more path an image, as far as it is worth it, and sort it into the pools."""
        worth = 1.0 if count == 1 else PATIENCE
        limits = [worth * pool[0].cost if pool[0].reached else torch.inf for pool in pools]
        for pool, more in zip(pools, arrivals(self.terms(), starts, [[move] for move in moves], 1, sure, limits)):
            pool += more
            pool.sort(key=lambda arrival: (not arrival.reached, arrival.cost))

    def refined(
        self, starts: list[Start], moves: list[list[Move]], pools: list[list[Arrival]], seed: int
    ) -> list[Move]:
        """A blend of each image's paths that begins at its best arrival."""
        first = [(pool[0].move, pool[0].alpha) for pool in pools]
        return blended_moves(starts, moves, first, self.bundle, Descent(steps=self.gradient_steps), seed)
