"""One door to all data: a path in, a source of cases out."""

from __future__ import annotations

from pathlib import Path

from histoxplain._checks import check_exists
from histoxplain.data.folder import ImageFolder
from histoxplain.data.handle import Handle
from histoxplain.data.lmdb import ImageLMDB, data_file, is_lmdb, open_environment
from histoxplain.data.npz import ImageNPZ, is_npz
from histoxplain.data.rosinality import RosinalityLMDB
from histoxplain.data.source import Source
from histoxplain.data.zip import ImageZip, is_zip


def open_source(path: str | Path, split: str | None = None) -> Source:
    """Open images, whatever they come in.

    Read are an LMDB made by `histoxplain prepare`, an LMDB of rosinality, HistoXplaining or CheXplaining, a zip archive
    (NVIDIA's dataset.zip, or class folders), a MedMNIST npz, an image folder, and a single image.

    Args:
        path: the data.
        split: "train", "validation", "test", or None for all cases.

    Raises:
        InputError: if there is no data at `path`, or it was never split and `split` is given.
    """
    path = check_exists("data", path)
    if path.suffix == ".lmdb" or is_lmdb(path):
        return RosinalityLMDB(path, split) if is_rosinality(path) else ImageLMDB(path, split)
    if is_npz(path):
        return ImageNPZ(path, split)
    return ImageZip(path, split) if is_zip(path) else ImageFolder(path, split)


def is_rosinality(path: Path) -> bool:
    """Whether an LMDB says its `length`, as rosinality's do, and has no `meta`, as ours have."""
    handle = Handle.of(data_file(path), open_environment)
    try:
        with handle.resource.begin() as transaction:
            return transaction.get(b"meta") is None and transaction.get(b"length") is not None
    finally:
        handle.release()
