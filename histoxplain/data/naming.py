"""Classes that file names tell: `person17_virus_3.jpeg` shows viral pneumonia."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from histoxplain._checks import InputError
from histoxplain.data.source import Row

LabelOf = Callable[[str], str | None]
"""From the path of an image inside its folder to its class; None if it does not tell."""


def labels_from_name(pattern: str) -> LabelOf:
    r"""Classes from a regular expression searched in the file name (without its folders).

    The class is what the parentheses match, joined by "-" if there are several, or else the whole match.

    Raises:
        InputError: if the expression is malformed.

    Example:
        >>> label_of = labels_from_name("bacteria|virus")
        >>> label_of("PNEUMONIA/person17_virus_3.jpeg"), label_of("NORMAL/IM-0115-0001.jpeg")
        ('virus', None)
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(f"`label_regex` must be a regular expression, got {pattern!r} ({error}).") from error

    def label_of(id: str) -> str | None:
        match = expression.search(PurePosixPath(id).name)
        if match is None:
            return None
        return "-".join(part for part in match.groups() if part) or match.group() or None

    return label_of


def relabel(rows: Sequence[Row], class_names: Sequence[str], label_of: LabelOf) -> tuple[list[Row], list[str]]:
    """Rows with the classes that names tell; the others keep theirs. Classes come out in alphabetical order.

    Raises:
        InputError: if no name tells a class.

    Example:
        >>> rows, names = relabel([Row("a_1.png", 0), Row("b.png", 0)], ["old"], labels_from_name("a"))
        >>> names, [row.label for row in rows]
        (['a', 'old'], [0, 1])
    """
    told = [label_of(row.id) for row in rows]
    if not any(told):
        first = rows[0].id if rows else "none"
        raise InputError(f"`label_regex` must match some file names, got none, of which the first is {first}.")
    classes = [name or (class_names[row.label] if row.label >= 0 else None) for name, row in zip(told, rows)]
    names = sorted({name for name in classes if name is not None})
    number = {name: i for i, name in enumerate(names)}
    return [replace(row, label=number.get(name, -1), vector=None) for row, name in zip(rows, classes)], names
