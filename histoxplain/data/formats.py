"""The formats that `prepare` writes, and how they are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from histoxplain._checks import check, check_one_of
from histoxplain.data.lmdb import ImageLMDBWriter
from histoxplain.data.npz import NPZWriter
from histoxplain.data.rosinality import HistoXplainingWriter, RosinalityWriter
from histoxplain.data.source import Row
from histoxplain.data.zip import ZipWriter


class Writer(Protocol):
    """What every format offers: images one by one, then everything that is known of them.

    Leaving the `with` block by an error leaves nothing behind, and an older file untouched.
    """

    channels: int | None
    """1 or 3 if the format asks for it; None if it holds both."""

    def __init__(self, path: Path) -> None: ...

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether `path` holds this format, and may be replaced."""

    @staticmethod
    def check_resolution(resolution: int) -> None:
        """Raise `InputError` for a side that the format does not allow."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: Any) -> None: ...

    def put_image(self, number: int, png: bytes) -> None:
        """Store one image; numbers come in order."""

    def finish(self, rows: Sequence[Row], class_names: Sequence[str], facts: Mapping[str, Any]) -> None:
        """Store labels, groups, splits, class names and facts about all images."""


WRITERS: dict[str, type[Writer]] = {
    "lmdb": ImageLMDBWriter,
    "zip": ZipWriter,
    "npz": NPZWriter,
    "rosinality": RosinalityWriter,
    "histoxplaining": HistoXplainingWriter,
}
FOLDERS = ("rosinality", "histoxplaining")
"""Formats that are folders."""


def choose_format(destination: Path, wish: str | None) -> str:
    """The format asked for, or the one that the ending of the file tells: `.zip`, `.npz`, else our LMDB.

    Example:
        >>> choose_format(Path("lung.zip"), None), choose_format(Path("lung"), "rosinality")
        ('zip', 'rosinality')
    """
    if wish is not None:
        check_one_of("format", wish, WRITERS)
        return wish
    ending = destination.suffix.lower().removeprefix(".")
    return ending if ending in ("zip", "npz") else "lmdb"


def check_destination(destination: str | Path, overwrite: bool, kind: str) -> Path:
    """The destination must be free, or hold the same format and may be replaced."""
    path = Path(destination)
    if kind not in FOLDERS:
        check(not path.is_dir(), "destination", "be a file", f"the folder {path}", f"try {path / f'data.{kind}'}")
    free = not path.exists() or (path.is_dir() and not any(path.iterdir()))
    got = f"{path}, which exists"
    check(overwrite or free, "destination", "be free", got, "pass --overwrite to replace it")
    replaceable = free or WRITERS[kind].recognises(path)
    rule = f"hold {kind} data to be replaced"
    check(replaceable, "destination", rule, f"{path}, which is something else", "choose another name")
    return path
