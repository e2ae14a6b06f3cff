"""Who goes to train, validation and test: whole groups, the same share of every class."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from histoxplain._checks import check

SPLITS = ("train", "validation", "test")


def split_groups(
    labels: Sequence[int],
    groups: Sequence[str | None],
    fractions: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
) -> list[str]:
    """Assign every case to a split, so that no group is torn apart and every class is shared out alike.

    Groups are taken from large to small, equals in random order, and each goes where it brings the class counts
    closest to the wish (in the sense of chi-square). The result depends on nothing but the arguments.

    Args:
        labels: class of every case; -1 for unknown.
        groups: group of every case; None stands for a group of its own.
        fractions: shares of train, validation and test; they are normalised to sum 1.
        seed: of the random order.

    Returns:
        "train", "validation" or "test" for every case.

    Raises:
        InputError: if lengths differ or a fraction is negative.

    Example:
        >>> split_groups([0, 0, 0, 0], ["a", "a", "b", "c"], fractions=(0.5, 0.25, 0.25))
        ['train', 'train', 'test', 'validation']
    """
    shares = check_fractions(fractions)
    check(len(labels) == len(groups), "groups", f"have one entry per label ({len(labels)})", len(groups))
    counts, group_of_case = count_classes(labels, groups)
    split_of_group = assign(counts, shares, np.random.default_rng(seed))
    return [SPLITS[split] for split in split_of_group[group_of_case]]


def check_fractions(fractions: Sequence[float]) -> np.ndarray:
    """Three non-negative shares, normalised to sum 1."""
    shares = np.asarray(fractions, dtype=np.float64)
    fine = shares.shape == (3,) and (shares >= 0).all() and 0 < shares.sum() < np.inf
    check(fine, "fractions", "be three shares of train, validation and test, none negative", tuple(fractions))
    return shares / shares.sum()


def count_classes(labels: Sequence[int], groups: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
    """Class counts (groups, classes) of the groups in alphabetical order, and the group's row for every case."""
    keys: list[Hashable] = [(1, i, "") if group is None else (0, 0, group) for i, group in enumerate(groups)]
    row = {key: i for i, key in enumerate(sorted(set(keys)))}
    group_of_case = np.array([row[key] for key in keys], dtype=np.int64)
    classes, class_of_case = np.unique(np.asarray(labels, dtype=np.int64), return_inverse=True)
    counts = np.zeros((len(row), len(classes)))
    np.add.at(counts, (group_of_case, class_of_case), 1)
    return counts, group_of_case


def assign(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Greedy assignment of groups to splits.

    Args:
        counts: cases per group and class, shape (G, K).
        shares: wished share of every split, shape (S,).
        rng: decides the order among groups of equal size.

    Returns:
        index of a split for every group, shape (G,).
    """
    splits = np.flatnonzero(shares)
    wish = shares[splits, None] * counts.sum(0)
    have = np.zeros_like(wish)
    result = np.zeros(len(counts), dtype=np.int64)
    order = rng.permutation(len(counts))
    for group in order[np.argsort(-counts[order].sum(1), kind="stable")]:
        n = counts[group]
        best = np.argmin(((2 * (have - wish) * n + n * n) / wish).sum(1))
        have[best] += n
        result[group] = splits[best]
    return result
