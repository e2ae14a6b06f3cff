"""One door to all data: a path in, a source of cases out."""

from __future__ import annotations

from pathlib import Path

from histoxplain._checks import check_exists
from histoxplain.data.folder import ImageFolder
from histoxplain.data.lmdb import ImageLMDB, is_lmdb
from histoxplain.data.source import Source


def open_source(path: str | Path, split: str | None = None) -> Source:
    """Open an image folder, a single image, or an LMDB made by `histoxplain prepare`.

    Args:
        path: the data.
        split: "train", "validation", "test", or None for all cases.

    Raises:
        InputError: if there is no data at `path`, or it was never split and `split` is given.
    """
    path = check_exists("data", path)
    return ImageLMDB(path, split) if path.suffix == ".lmdb" or is_lmdb(path) else ImageFolder(path, split)
