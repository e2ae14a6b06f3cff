"""Labels as other people's files write them: whole numbers, vectors, or nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from histoxplain._checks import InputError
from histoxplain.data.source import Row

Label = int | tuple[float, ...] | None


def parse_label(value: Any, where: str) -> Label:
    """A label from JSON: a whole number from 0, or a vector of numbers.

    Raises:
        InputError: if it is neither.

    Example:
        >>> parse_label(2, "a.png"), parse_label([0, 0.5], "a.png")
        (2, (0.0, 0.5))
    """
    if type(value) is int and value >= 0:
        return value
    if isinstance(value, list) and value and all(type(x) in (int, float) and math.isfinite(x) for x in value):
        return tuple(float(x) for x in value)
    raise InputError(f"`label` must be a whole number from 0 or a vector of numbers, got {value!r} for {where}.")


def with_labels(rows: Sequence[Row], labels: Sequence[Label]) -> list[Row]:
    """Rows with their labels: all whole numbers, or all vectors of one length (None stands for unknown).

    Where every vector is one-hot, it also says the class.

    Raises:
        InputError: if kinds or lengths are mixed.

    Example:
        >>> [(row.label, row.vector) for row in with_labels([Row("a"), Row("b")], [(0.0, 1.0), (1.0, 0.0)])]
        [(1, (0.0, 1.0)), (0, (1.0, 0.0))]
    """
    lengths = {len(label) if isinstance(label, tuple) else 0 for label in labels if label is not None}
    if len(lengths) > 1:
        raise InputError("`labels` must be all whole numbers or all vectors of one length, got a mixture.")
    if lengths in (set(), {0}):
        return [replace(row, label=-1 if label is None else label) for row, label in zip(rows, labels)]
    classes = all(label is None or is_one_hot(label) for label in labels)
    return [
        replace(row, vector=label, label=label.index(1) if classes and label else -1)
        for row, label in zip(rows, labels)
    ]


def is_one_hot(vector: Sequence[float]) -> bool:
    """Whether one entry is 1 and the others are 0.

    Example:
        >>> is_one_hot([0, 1, 0]), is_one_hot([1, 1]), is_one_hot([0.5, 0.5])
        (True, False, False)
    """
    return sorted(vector) == [0] * (len(vector) - 1) + [1]


def label_of(row: Row) -> Label:
    """The label to write: the vector if there is one, else the class; None if unknown."""
    return row.vector if row.vector is not None else None if row.label < 0 else row.label


def shared_labels(rows: Sequence[Row]) -> list[int | tuple[float, ...]] | None:
    """Every row's label; None if one is unknown, for formats that ask for all or none."""
    labels = [label for row in rows if (label := label_of(row)) is not None]
    return labels if labels and len(labels) == len(rows) else None


def default_names(rows: Sequence[Row]) -> list[str]:
    """Names for classes that have none: their numbers.

    Example:
        >>> default_names([Row("a", 0), Row("b", 2)])
        ['0', '1', '2']
    """
    length = max((len(row.vector) for row in rows if row.vector), default=0)
    return [str(i) for i in range(max(length, 1 + max((row.label for row in rows), default=-1)))]
