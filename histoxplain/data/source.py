"""What every source of cases offers: a table of its cases, and the cases themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from histoxplain._checks import InputError, check_one_of
from histoxplain.data.case import Case
from histoxplain.data.splits import SPLITS

OPTIONAL = ("vector", "pixel_spacing")
"""What a row's JSON leaves out where it is not known."""


@dataclass(frozen=True)
class Row:
    """What a source knows of a case without reading its pixels."""

    id: str
    label: int = -1
    """Index of the class; -1 where unknown, or where a case has several."""
    group: str | None = None
    split: str | None = None
    vector: tuple[float, ...] | None = None
    """The label as it was given, where it was given as a vector: several findings, or numbers to condition on."""
    pixel_spacing: tuple[float, float] | None = None
    """Distance of rows and of columns in mm, where the file said it."""

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Row:
        """The row of a JSON record."""
        lists = {name: tuple(record[name]) for name in OPTIONAL if record.get(name) is not None}
        return cls(**{**record, **lists})

    def record(self) -> dict[str, Any]:
        """What to write as JSON.

        Example:
            >>> Row("a.png", 1).record()
            {'id': 'a.png', 'label': 1, 'group': None, 'split': None}
        """
        return {name: value for name, value in asdict(self).items() if value is not None or name not in OPTIONAL}


class Source(ABC):
    """Cases by number; a drop-in map-style dataset for `torch.utils.data.DataLoader`.

    Args:
        rows: the table of cases.
        class_names: names of the labels 0, 1, ...
        resolution: side of the square images, or None if sizes are mixed.
        channels: 1 or 3.
    """

    def __init__(self, rows: Sequence[Row], class_names: Sequence[str], resolution: int | None, channels: int) -> None:
        self.rows = list(rows)
        self.class_names = tuple(class_names)
        self.resolution = resolution
        self.channels = channels

    def __len__(self) -> int:
        return len(self.rows)

    @abstractmethod
    def __getitem__(self, index: int) -> Case: ...

    def __iter__(self) -> Iterator[Case]:
        return (self[i] for i in range(len(self)))

    @property
    def labels(self) -> np.ndarray:
        """Class of every case, int64 (N,); -1 where unknown."""
        return np.array([row.label for row in self.rows], dtype=np.int64)

    @property
    def vectors(self) -> np.ndarray | None:
        """Labels given as vectors, float32 (N, L); None where there are none."""
        vectors = [row.vector for row in self.rows]
        return None if not vectors or None in vectors else np.array(vectors, dtype=np.float32)

    @property
    def ids(self) -> list[str]:
        """Name of every case."""
        return [row.id for row in self.rows]

    @property
    def groups(self) -> list[str | None]:
        """Group of every case; None where it has none."""
        return [row.group for row in self.rows]

    @property
    def splits(self) -> list[str | None]:
        """Split of every case; None where there was no split."""
        return [row.split for row in self.rows]


def rows_of_split(rows: Sequence[Row], split: str | None) -> list[int]:
    """Numbers of the rows that belong to `split`; all of them for None.

    Raises:
        InputError: if `split` is unknown, or the source was never split.
    """
    if split is None:
        return list(range(len(rows)))
    check_one_of("split", split, SPLITS)
    chosen = [i for i, row in enumerate(rows) if row.split == split]
    if not chosen:
        was_split = any(row.split for row in rows)
        got = "but nothing in it" if was_split else "that was never split"
        raise InputError(f"`data` must have a {split} split, got data {got}; `histoxplain prepare` splits data.")
    return chosen
