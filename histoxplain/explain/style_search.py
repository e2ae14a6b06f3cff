"""Finding the best rows of a `StyleSweep`: by measuring all of them, or in a race among those that promise most."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from histoxplain.explain.style_sweep import StyleSweep

Pair = tuple[int, int | None]
"""The class asked for, and the one it is compared with; see `lead`."""
Search = Callable[[Tensor, Tensor, int], Tensor]
"""`(rows, images, count)` to those of the rows with the largest mean effect on these images, best first."""
FIRST = 4
"""Images in the first round of a race."""
DOUBT = 2.5
"""Standard errors by which a candidate must be behind to drop out."""


def exhaustive_search(sweep: StyleSweep, pair: Pair) -> Search:
    """The definition: every row on every image."""

    def search(rows: Tensor, images: Tensor, count: int) -> Tensor:
        sweep.measure(rows, images)
        return rows[sweep.effects(rows, images, *pair).mean(1).argsort(descending=True, stable=True)[:count]]

    return search


def fast_search(sweep: StyleSweep, pair: Pair, estimates: Tensor, pool: int) -> Search:
    """A race among the `pool` rows of which the estimates promise most.

    Args:
        sweep: the table.
        pair: see `lead`.
        estimates: first-order estimates of effects, `(2 S, N)`; NaN for images without.
        pool: how many rows take part.
    """

    def search(rows: Tensor, images: Tensor, count: int) -> Tensor:
        promise = estimates[rows][:, images].nanmean(1)
        if promise.isnan().any():
            promise = estimates[rows].nanmean(1)
        promising = rows[promise.argsort(descending=True, stable=True)[: max(pool, count)]]
        return race(sweep, promising, images, count, pair, estimates[promising][:, images])

    return search


def race(
    sweep: StyleSweep, rows: Tensor, images: Tensor, count: int, pair: Pair, estimates: Tensor | None = None
) -> Tensor:
    """Try rows on 4, 8, 16, ... images, until those clearly behind the last that would win have all dropped out.

    Args:
        sweep: the table.
        rows: which take part.
        images: on which.
        count: how many win.
        pair: see `lead`.
        estimates: of the effects of `rows` on `images`; where complete, they tell how unusual the first images are.

    Returns:
        The winners, measured on all images, best first.
    """
    done = 0
    while True:
        end = min(max(FIRST, 2 * done), len(images))
        sweep.measure(rows, images[done:end])
        done = end
        effects = sweep.effects(rows, images[:done], *pair)
        if estimates is not None:
            effects = at_the_mean(effects, estimates)
        order = effects.mean(1).argsort(descending=True, stable=True)
        if done == len(images):
            return rows[order[:count]]
        behind = effects[order[min(count, len(rows)) - 1]] - effects
        doubt = DOUBT * behind.std(1) * sqrt((1 - done / len(images)) / done)
        stay = behind.mean(1) <= doubt
        rows, estimates = rows[stay], None if estimates is None else estimates[stay]


def at_the_mean(effects: Tensor, estimates: Tensor) -> Tensor:
    """Effects on the first images as they would be on images of the mean estimate: a control variate.

    Args:
        effects: of M rows on the first n images, `(M, n)`.
        estimates: of the same rows on all images, `(M, N)`; used where complete.

    Example:
        >>> estimates = torch.tensor([[1.0, 2.0, 6.0]])
        >>> at_the_mean(2 * estimates[:, :2], estimates).tolist()
        [[6.0, 6.0]]
    """
    if estimates.isnan().any():
        return effects
    first = estimates[:, : effects.shape[1]]
    spread = first - first.mean(1, keepdim=True)
    slope = (spread * effects).sum() / spread.square().sum().clamp_min(1e-20)
    return effects - slope * (first - estimates.mean(1, keepdim=True))


def one_by_one(sweep: StyleSweep, images: Tensor, count: int, search: Search, pair: Pair) -> Tensor:
    """The best row, then the best on the images it does not turn, and so on: the greedy choice of AttFind.

    Ends early where all images are turned, or nothing helps the others.
    """
    chosen: list[int] = []
    left = images
    while len(chosen) < min(count, len(sweep)) and len(left):
        rest = torch.tensor([row for row in range(len(sweep)) if row not in chosen])
        row = search(rest, left, 1)
        if float(sweep.effects(row, left, *pair).mean()) <= 0:
            break
        sweep.measure(row, images)
        chosen += row.tolist()
        left = left[sweep.logits[row[0], left].argmax(1) != pair[0]]
    return torch.tensor(chosen, dtype=torch.long)
