"""Leaving out what is not needed, for many rows at once. Nothing here knows about images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Enough = Callable[[Tensor, Tensor], Tensor]
"""`(kept (n, S) bool, rows (n,)) -> (n,)`: how far past the goal each row is with only these; >= 0 suffices."""


def prune(enough: Enough, kept: Tensor, worth: Tensor, blocks: int = 16, rounds: int = 12) -> Tensor:
    """Leave out coordinates while the others suffice: in blocks of the least worth at first, singly in the end.

    Each round tries to do without every block, and then without as many as possible of those that matter least.

    Args:
        enough: see `Enough`.
        kept: coordinates that suffice, `(N, S)` bool.
        worth: of each coordinate, `(N, S)`; only their order counts.
        blocks: at most, of each row in each round.
        rounds: at most.

    Returns:
        What is left, `(N, S)` bool; where rounds were enough, no single one of them can be done without.

    Example:
        >>> weights = torch.tensor([5.0, 3.0, 1.0, 4.0])
        >>> enough = lambda kept, rows: kept.float() @ weights - 8.5
        >>> prune(enough, torch.ones(1, 4, dtype=torch.bool), torch.zeros(1, 4)).tolist()
        [[True, False, False, True]]
    """
    kept, todo = kept.clone(), list(range(len(kept)))
    for _ in range(rounds):
        parts = {i: _blocks(kept[i], worth[i], blocks) for i in todo}
        scores = _without_each(enough, kept, parts)
        ways = {i: [parts[i][k] for k in scores[i].argsort(descending=True) if scores[i][k] >= 0] for i in todo}
        last = {i for i in todo if max(map(len, parts[i]), default=1) == 1 and not ways[i]}
        _leave_out(enough, kept, {i: some for i, some in ways.items() if some})
        todo = [i for i in todo if i not in last and int(kept[i].sum()) > 1]
        if not todo:
            break
    return kept


def _blocks(kept: Tensor, worth: Tensor, blocks: int) -> list[Tensor]:
    """The kept coordinates in at most so many blocks of equal length, alike in worth."""
    mine = torch.nonzero(kept).flatten()
    mine = mine[worth[mine].argsort()]
    return list(mine.split(-(-len(mine) // blocks))) if len(mine) > 1 else []


def _without_each(enough: Enough, kept: Tensor, parts: dict[int, list[Tensor]]) -> dict[int, Tensor]:
    rows = torch.tensor([i for i, some in parts.items() for _ in some], dtype=torch.long)
    tried = kept[rows].clone()
    for k, block in enumerate(block for some in parts.values() for block in some):
        tried[k, block] = False
    scores = enough(tried, rows).cpu() if len(rows) else torch.zeros(0)
    return dict(zip(parts, scores.split([len(some) for some in parts.values()])))


def _leave_out(enough: Enough, kept: Tensor, ways: dict[int, list[Tensor]]) -> None:
    """As many of each row's blocks as can go together, first ones first: all of them, or half as many, and so on."""
    sizes = {i: len(some) for i, some in ways.items()}
    while sizes:
        rows = torch.tensor(list(sizes))
        tried = kept[rows].clone()
        for k, (i, size) in enumerate(sizes.items()):
            tried[k, torch.cat(ways[i][:size])] = False
        fine = enough(tried, rows).cpu() >= 0
        kept[rows[fine]] = tried[fine]
        sizes = {i: size // 2 for (i, size), good in zip(sizes.items(), fine.tolist()) if not good and size > 1}
