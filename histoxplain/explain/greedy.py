"""Few coordinates that suffice together, taken one after another: what estimates promise is tried. Knows no images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Slope = Callable[[Tensor, Tensor], Tensor]
"""`(steps (n, S), rows (n,)) -> (n, S)`: how much more convincing each row gets by a unit of each coordinate."""
Opinion = Callable[[Tensor, Tensor, int], Tensor]
"""`(steps (n, S), rows (n,), round) -> (n,)`: how convincing each step is; only compared within a round and row."""
Enough = Callable[[Tensor, Tensor], Tensor]
"""`(steps (n, S), rows (n,)) -> (n,)`: how far past the goal each step is; >= 0 suffices."""
SINGLY, IN_PAIRS = 8, 16
"""So many coordinates are taken one a round, and up to so many two a round; then four."""
SETS = 3
"""How many sets of candidates are tried before a row is given up."""


@dataclass(frozen=True, eq=False)
class Greedy:
    """Takes the coordinate that helps most to the end of its range, then the one that helps most now, and so on.

    Which to try is told by the gradient, anew in every round: those that promise most. The measured effect decides, as
    in the subset selection of StylEx (Lang et al., *Explaining in Style*, 2021), which tries all.

    Example:
        >>> weights = torch.tensor([1.0, 4.0, -3.0])
        >>> search = Greedy(lambda s, _: weights[None], lambda s, _, turn: s @ weights, lambda s, _: s @ weights - 6)
        >>> steps, reached = search(-torch.ones(1, 3), torch.ones(1, 3))
        >>> steps.tolist(), reached.tolist()
        ([[0.0, 1.0, -1.0]], [True])
    """

    slope: Slope
    opinion: Opinion
    enough: Enough
    most: int = 32
    """Coordinates of a row, at most."""
    tried: int = 16
    """Candidates a round."""

    def __call__(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Steps `(N, S)` and whether they suffice, `(N,)` bool.

        Args:
            low: how far down each coordinate may go, `(N, S)`, at most 0; where both are 0 it stays.
            high: how far up, `(N, S)`, at least 0.
        """
        steps, todo = torch.zeros_like(high), torch.arange(len(high))
        reached, passed = torch.zeros(len(high), dtype=torch.bool), torch.zeros(len(high), dtype=torch.long)
        for turn in range(SETS * self.most):
            if not len(todo):
                break
            ends, order = self._candidates(steps[todo], low[todo], high[todo], todo, passed[todo])
            taken = self._best(steps[todo], ends, order, todo, turn)
            some = taken.any(1)
            steps[todo] = torch.where(taken, ends, steps[todo])
            passed[todo] = torch.where(some.cpu(), 0, passed[todo] + 1)
            moved = todo[some.cpu()]
            if len(moved):
                reached[moved] = self.enough(steps[moved], moved).cpu() >= 0
            full = (steps[todo] != 0).sum(1).cpu() >= self.most
            todo = todo[~reached[todo] & ~full & (passed[todo] < SETS)]
        return steps, reached

    def _candidates(
        self, steps: Tensor, low: Tensor, high: Tensor, rows: Tensor, passed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The end of each coordinate's range that helps, `(n, S)`, and the coordinates to try, `(n, tried)`."""
        gradient = self.slope(steps, rows)
        ends = torch.where(gradient > 0, high, low)
        promise = (gradient * ends).masked_fill((steps != 0) | (ends == 0), -torch.inf)
        order = promise.argsort(1, descending=True)
        tried = min(self.tried, order.shape[1])
        last = order.shape[1] - tried
        first = (passed * self.tried).clamp_max(last).to(order)
        return ends, order.gather(1, first[:, None] + torch.arange(tried, device=order.device))

    def _best(self, steps: Tensor, ends: Tensor, order: Tensor, rows: Tensor, turn: int) -> Tensor:
        """Of the candidates, those that help most, one or several a row: `(n, S)` bool."""
        count, tried = order.shape
        trial = steps[:, None].repeat(1, tried + 1, 1)
        trial[:, 1:].scatter_(2, order[..., None], ends.gather(1, order)[..., None])
        convinced = self.opinion(trial.flatten(0, 1), rows.repeat_interleave(tried + 1), turn).view(count, tried + 1)
        gain = convinced[:, 1:] - convinced[:, :1]
        gain = gain.masked_fill((trial[:, 1:] == steps[:, None]).all(2), -torch.inf)  # no candidate after all
        had = (steps != 0).sum(1)
        room = torch.where(had < SINGLY, 1, torch.where(had < IN_PAIRS, 2, 4)).clamp_max(self.most - had)
        rank = gain.argsort(1, descending=True).argsort(1)
        chosen = (gain > 0) & (rank < room[:, None])
        return torch.zeros_like(steps, dtype=torch.bool).scatter_(1, order, chosen)
