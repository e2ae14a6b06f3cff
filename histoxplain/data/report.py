"""What `prepare` did, told to people and to programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from histoxplain.data.source import Row
from histoxplain.data.splits import SPLITS


@dataclass(frozen=True)
class Skipped:
    """A file that was left out, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Report:
    """What `prepare` did; also written as JSON to `DST.report.json`."""

    source: str
    destination: str
    resolution: int
    channels: int
    filter: str
    seed: int
    fractions: tuple[float, ...]
    """Shares of train, validation and test; empty if the split of the source was kept."""
    count: int
    """Images written."""
    groups: int
    """Different groups among them; an image without one counts for itself."""
    classes: dict[str, dict[str, int]]
    """Images of every class in train, validation and test."""
    skipped: list[Skipped] = field(default_factory=list)
    """Every file that was left out."""
    notes: list[str] = field(default_factory=list)
    """What else a careful person should know."""
    format: str = "lmdb"
    terms: str | None = None
    """Under which terms the data were published, if they came by `histoxplain download`."""
    masks: int = 0
    """Images with a mask of what is diseased."""


def count_groups(rows: Sequence[Row]) -> int:
    """Different groups; a row without one counts for itself."""
    groups = [row.group for row in rows]
    return len({group for group in groups if group is not None}) + groups.count(None)


def tabulate(rows: Sequence[Row], class_names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Images of every class in every split; an image with several findings counts for each."""
    counts = Counter((label, row.split) for row in rows for label in findings(row))
    names = dict(enumerate(class_names)) or {-1: "(unknown)"}
    return {name: {split: counts[label, split] for split in SPLITS} for label, name in names.items()}


def findings(row: Row) -> list[int]:
    """The classes of a row: one, or those that a vector names.

    Example:
        >>> findings(Row("a", 2)), findings(Row("b", vector=(1.0, 0.0, 1.0)))
        ([2], [0, 2])
    """
    if row.label >= 0 or row.vector is None:
        return [row.label]
    return [i for i, value in enumerate(row.vector) if value > 0]


def torn_groups(rows: Sequence[Row]) -> int:
    """How many groups stand in more than one split, as a published split may have it."""
    pairs = {(row.group, row.split) for row in rows if row.group is not None}
    return sum(count > 1 for count in Counter(group for group, _ in pairs).values())


def remarks(rows: Sequence[Row], class_names: Sequence[str], kept: Sequence[str]) -> list[str]:
    """Notes about classes and splits that came out empty, and about missing groups."""
    notes = [f"class {name!r} has no usable image and was left out" for name in class_names if name not in kept]
    for name, splits in tabulate(rows, kept).items():
        notes += [f"class {name!r} has no image in {split}" for split, count in splits.items() if not count]
    if torn := torn_groups(rows):
        notes.append(f"{torn} groups stand in more than one part of the given split")
    if all(row.group is None for row in rows):
        notes.append("no groups were given: images of one patient may be in train and in test")
    return notes


def write_report(report: Report, path: Path) -> None:
    """Write the report as JSON; file names that are not UTF-8 keep their bytes."""
    text = json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


def report_path(destination: str | Path) -> Path:
    """Where the report of a destination lies.

    Example:
        >>> report_path("lung.lmdb").name
        'lung.lmdb.report.json'
    """
    path = Path(destination)
    return path.with_name(path.name + ".report.json")


def summary(skipped: Sequence[Skipped]) -> str:
    """How many files were left out, with the first reason."""
    if not skipped:
        return "there is no image"
    return f"{len(skipped)} files were left out (first {skipped[0].file}: {skipped[0].reason})"
