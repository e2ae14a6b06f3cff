"""Finding the best rows of a `StyleSweep`: by measuring all of them, or in a race among those that promise most."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from histoxplain.explain.style_sweep import StyleSweep

Pair = tuple[int, int | None]
"""The class asked for, and the one it is compared with; see `lead`."""
Search = Callable[[Tensor, Tensor, int], Tensor]
"""`(rows, images, count)` to those of the rows with the largest mean effect on these images, best first."""
FIRST = 6
"""Images in the first round of a race."""
STRIDE = 32
"""Rows that join the contenders at a time."""
SURPRISE = 3.0
"""Standard deviations by which a row may exceed its promise."""
DOUBT = 1.75
"""Half the width of the intervals that are compared in a race, in standard errors."""
PRIOR = 12
"""How many images the common variance of all rows in a race counts for, beside each row's own."""


def exhaustive_search(sweep: StyleSweep, pair: Pair) -> Search:
    """The definition: every row on every image."""

    def search(rows: Tensor, images: Tensor, count: int) -> Tensor:
        sweep.measure(rows, images)
        return rows[sweep.effects(rows, images, *pair).mean(1).argsort(descending=True, stable=True)[:count]]

    return search


def fast_search(sweep: StyleSweep, pair: Pair, estimates: Tensor, pool: int | None = None) -> Search:
    """A race among the rows of which the estimates promise most.

    Args:
        sweep: the table.
        pair: see `lead`.
        estimates: first-order estimates of effects, `(2 S, N)`; NaN for images without.
        pool: how many rows take part; None tries rows until no other can be expected to win, see `contenders`.
    """

    def search(rows: Tensor, images: Tensor, count: int) -> Tensor:
        promise = estimates[rows][:, images].nanmean(1)
        if promise.isnan().any():
            promise = estimates[rows].nanmean(1)
        order = promise.argsort(descending=True, stable=True)
        size = pool or contenders(sweep, rows[order], promise[order], images, count, pair, estimates)
        promising = rows[order[: max(size, count)]]
        return race(sweep, promising, images, count, pair, estimates[promising][:, images])

    return search


def contenders(
    sweep: StyleSweep, rows: Tensor, promise: Tensor, images: Tensor, count: int, pair: Pair, estimates: Tensor
) -> int:
    """How many rows to try, in the order of their promise.

    They are tried on the first images, `STRIDE` at a time, until the next would have to exceed its promise by more than
    `SURPRISE` standard deviations of what those tried did (effect on promise, by linear regression).

    Args:
        sweep: see `fast_search`.
        rows: in descending order of `promise`.
        promise: mean estimates.
        images: see `race`.
        count: see `race`.
        pair: see `race`.
        estimates: see `fast_search`.
    """
    first = images[:FIRST]
    for tried in range(max(STRIDE, 2 * count), len(rows), STRIDE):
        some = rows[:tried]
        sweep.measure(some, first)
        means = at_the_mean(sweep.effects(some, first, *pair), estimates[some][:, images]).mean(1)
        x = promise[:tried] - promise[:tried].mean()
        slope = ((x @ means) / x.square().sum().clamp_min(1e-20)).clamp_min(0)
        surprise = (means - means.mean() - slope * x).std()
        expected = means.mean() + slope * (promise[tried] - promise[:tried].mean())
        if expected + SURPRISE * surprise < means.topk(count).values[-1]:
            return tried
    return len(rows)


def race(
    sweep: StyleSweep, rows: Tensor, images: Tensor, count: int, pair: Pair, estimates: Tensor | None = None
) -> Tensor:
    """Try rows on 6, 12, 24, ... images; after each round, those drop out that are clearly behind.

    A row is clearly behind where the upper end of the interval of its mean is below the lower end of `count` others.

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
        if done == len(images):
            return rows[effects.mean(1).argsort(descending=True, stable=True)[:count]]
        effects = effects if estimates is None else at_the_mean(effects, estimates)
        doubt = DOUBT * standard_errors(effects, len(images))
        least = (effects.mean(1) - doubt).topk(min(count, len(rows))).values[-1]
        stay = effects.mean(1) + doubt >= least
        rows, estimates = rows[stay], None if estimates is None else estimates[stay]


def standard_errors(effects: Tensor, count: int) -> Tensor:
    """Of the mean effects `(M,)`, compared with each other, over `count` images of which n were tried.

    What all rows have in common is left out, and variances are drawn together, few images being tried.

    Args:
        effects: `(M, n)`.
        count: N.
    """
    tried = effects.shape[1]
    own = (effects - effects.mean(0)).var(1)
    variance = ((tried - 1) * own + PRIOR * own.mean()) / (tried - 1 + PRIOR)
    return (variance * (1 / tried - 1 / count)).sqrt()


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
    slope = (spread * effects).sum() / (spread.square().sum() + 1e-9 * first.square().sum()).clamp_min(1e-20)
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
