"""What other people's formats have no place for, carried beside their images: ids, groups, splits, class names.

Their own programs ignore it; with it, data come back from the round trip as they were.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from histoxplain._checks import InputError
from histoxplain.data.labels import default_names
from histoxplain.data.source import Row

FORMAT = "histoxplain.cases/1"
NAME = "histoxplain.json"


@dataclass(frozen=True)
class Companion:
    """The cases of a file in its order, and the names of their classes."""

    rows: tuple[Row, ...]
    class_names: tuple[str, ...]

    @classmethod
    def parse(cls, data: bytes | Mapping[str, Any] | None, count: int) -> Companion | None:
        """Read it back; None if there is none.

        Raises:
            InputError: if it is damaged, or does not belong to `count` images.
        """
        if data is None:
            return None
        try:
            fields = json.loads(data) if isinstance(data, bytes) else data
            rows = tuple(Row.from_record(record) for record in fields["cases"])
            companion = cls(rows, tuple(map(str, fields["class_names"])))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"`{NAME}` must list the cases, got something else ({error!r}); remove it.") from error
        if len(rows) != count:
            raise InputError(f"`{NAME}` must describe all {count} images, got {len(rows)} cases; remove it.")
        return companion

    def tell(self, rows: Sequence[Row]) -> list[Row]:
        """Rows with their ids, groups and splits; labels stay as the format gives them."""
        return [replace(mine, label=row.label, vector=row.vector) for mine, row in zip(self.rows, rows)]


def describe(rows: Sequence[Row], class_names: Sequence[str], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The companion of a file, as what JSON writes."""
    return {"format": FORMAT, "class_names": list(class_names), **facts, "cases": [row.record() for row in rows]}


def complete(rows: Sequence[Row], companion: Companion | None) -> tuple[list[Row], list[str]]:
    """Rows and class names as far as they are known: classes that nobody named are called by their numbers."""
    numbers = default_names(rows)
    if companion is None:
        return list(rows), numbers
    names = list(companion.class_names)
    return companion.tell(rows), names + numbers[len(names) :]
