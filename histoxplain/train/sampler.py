"""Which images of a data set a training sees, and in which endless order, in which near repeats are rare."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from histoxplain._checks import check


def endless(n: int, seed: int = 0, rank: int = 0, world: int = 1, start: int = 0, window: float = 0.5) -> Iterator[int]:
    """Indices of `n` items for ever: each round visits all, shuffled a little against the round before.

    Args:
        n: size of the data set.
        seed: of the order.
        rank, world: this process and how many there are; each gets every `world`-th index, without repeats.
        start: how many indices this process has already drawn (for a resume).
        window: how far back, as a share of `n`, an item may be exchanged with.

    Example:
        >>> order = endless(10, seed=0)
        >>> [next(order) for _ in range(12)]
        [2, 8, 4, 9, 1, 6, 2, 3, 0, 9, 7, 8]
    """
    draw = np.random.RandomState(seed)
    order = np.arange(n)
    draw.shuffle(order)
    reach = int(np.rint(n * window))
    position = 0
    while True:
        i = position % n
        if position % world == rank:
            if start > 0:
                start -= 1
            else:
                yield int(order[i])
        if reach >= 2:
            j = (i - draw.randint(reach)) % n
            order[[i, j]] = order[[j, i]]
        position += 1


def subset(n: int, count: int | None, seed: int = 0) -> np.ndarray:
    """Numbers of `count` of `n` items, drawn at random and in order; all of them for None.

    Raises:
        InputError: if there are fewer.

    Example:
        >>> subset(10, 4, seed=0)
        array([2, 4, 8, 9])
    """
    if count is None:
        return np.arange(n)
    check(count <= n, "subset", f"be at most {n}, the images there are", count)
    order = np.arange(n)
    np.random.RandomState(seed).shuffle(order)
    return np.sort(order[:count])
