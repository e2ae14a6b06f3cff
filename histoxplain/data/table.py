"""The images of a tree of files, as a table: which is of which class, group and split, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from histoxplain.data.boxes import Box
from histoxplain.data.source import Row
from histoxplain.data.tree import Tree


@dataclass(frozen=True)
class Table:
    """The images of a tree. `names[i]` is the file of `rows[i]`."""

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    class_names: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    """Image files that are not among them, and why."""
    lists: tuple[str, ...] = ()
    """Files that were read to know all this."""
    numbered: bool = False
    """Whether classes are numbers that others rely on, so that empty ones must stay."""
    boxes: tuple[Box, ...] = ()
    """What each image shows stands in this part of it, where the data set says so for every image."""


def images(tree: Tree, root: str) -> list[str]:
    """Visible image files below `root`."""
    return [name for name in tree.names if name.startswith(root) and name in tree.images]


def tabulate(
    names: Sequence[str],
    root: str,
    classes: Sequence[str | None],
    empty: Sequence[str] = (),
    **more: Sequence[str | None],
) -> Table:
    """A table with classes in alphabetical order, also of those that have no image; `more` are groups and splits."""
    class_names = sorted({name for name in classes if name is not None} | set(empty))
    number = {name: i for i, name in enumerate(class_names)}
    rows = [Row(name[len(root) :], number.get(label, -1)) for name, label in zip(names, classes)]
    for key, values in more.items():
        rows = [replace(row, **{key: value}) for row, value in zip(rows, values)]
    return Table(tuple(names), tuple(rows), tuple(class_names))
