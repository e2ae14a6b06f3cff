"""Prepared data: one LMDB file with square PNGs, labels, groups and splits.

Keys: `meta` (JSON), `case-00000000` (JSON: id, label, group, split, and a vector if there is one), `image-00000000`
(PNG), and `mask-00000000` (grey PNG, 255 where diseased, else 0) for the images whose mask is known.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lmdb
import torch
from PIL import Image
from torch import Tensor

from histoxplain._checks import InputError, check
from histoxplain.data.case import Case
from histoxplain.data.lmdb_writer import LMDBFormat
from histoxplain.data.masks import from_mask
from histoxplain.data.source import Row
from histoxplain.data.stored import StoredSource

FORMAT = "histoxplain.lmdb/1"
MAGIC = b"\xde\xc0\xef\xbe"


def case_key(number: int) -> bytes:
    """Key of a case's record."""
    return b"case-%08d" % number


def image_key(number: int) -> bytes:
    """Key of a case's PNG."""
    return b"image-%08d" % number


def mask_key(number: int) -> bytes:
    """Key of a mask's PNG."""
    return b"mask-%08d" % number


def data_file(path: Path) -> Path:
    """The LMDB file itself; `path` may be the folder that holds it."""
    return path / "data.mdb" if path.is_dir() else path


def is_lmdb(path: Path) -> bool:
    """Whether `path` is an LMDB file, or a folder with one.

    Example:
        >>> is_lmdb(Path("nowhere"))
        False
    """
    file = data_file(path)
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return path.is_dir() or stream.read(20)[16:] == MAGIC


def open_environment(path: Path) -> lmdb.Environment:
    """Open an LMDB file for reading.

    Raises:
        InputError: if it is no LMDB, or was cut off: reading past its end would kill the process.
    """
    try:
        environment = lmdb.open(str(path), subdir=False, readonly=True, lock=False, readahead=False)
    except lmdb.Error as error:
        raise InputError(f"`data` must be a readable LMDB, got {path} ({error}); prepare or copy it again.") from error
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if path.stat().st_size < needed:
        environment.close()
        raise InputError(f"`data` must be complete, got {path}, which was cut off; prepare or copy it again.")
    return environment


class LMDBSource(StoredSource):
    """Images in an LMDB, whatever its keys."""

    opener = staticmethod(open_environment)

    def _file(self) -> Path:
        return data_file(self.path)

    def _read(self, keys: Iterable[bytes]) -> list[bytes]:
        """Values of several keys, in one transaction."""
        values = self._find(keys)
        missing = any(value is None for value in values)
        check(not missing, "data", "be complete", f"{self.path}, which lacks records", "prepare or copy it again")
        return values

    def _find(self, keys: Iterable[bytes]) -> list[bytes | None]:
        """Values of several keys, in one transaction; None where there is none."""
        environment = self.resource
        try:
            with environment.begin() as transaction:
                return [transaction.get(key) for key in keys]
        except lmdb.Error as error:
            self.close()
            raise InputError(f"`data` must be a readable LMDB, got {self.path} ({error}); prepare it again.") from error


class ImageLMDB(LMDBSource):
    """Images prepared by `histoxplain prepare`: square, of one size, split.

    Args:
        path: the LMDB file, or a folder that holds `data.mdb`.
        split: "train", "validation", "test", or None for all cases.

    Raises:
        InputError: if the file is missing, damaged or not made by `histoxplain prepare`.
    """

    def __init__(self, path: str | Path, split: str | None = None) -> None:
        super().__init__(path)
        self.meta = self._read_meta()
        records = self._read(map(case_key, range(self.meta["count"])))
        rows = [Row.from_record(json.loads(record)) for record in records]
        self._list(rows, self.meta["class_names"], self.meta["resolution"], self.meta["channels"], split)

    def _read_meta(self) -> dict[str, Any]:
        meta = json.loads(self._read([b"meta"])[0])
        known = meta.get("format") == FORMAT
        check(known, "data", f"have format {FORMAT}", meta.get("format"), "prepare it again with this version")
        return meta

    def picture(self, index: int) -> Image.Image:
        """A case's image as "L" or "RGB" picture."""
        return decode_png(self._read([image_key(self.numbers[index])])[0])

    def mask_picture(self, index: int) -> Image.Image | None:
        """What is diseased in a case, as "L" picture of 0 and 255; None where that is not known."""
        found = self._find([mask_key(self.numbers[index])])[0] if self.meta.get("masks") else None
        return None if found is None else decode_png(found)

    def __getitem__(self, index: int) -> Case:
        mask = self.mask_picture(index)
        return replace(super().__getitem__(index), mask=None if mask is None else from_mask(mask))

    def masks(self, indices: Sequence[int] | None = None) -> Tensor:
        """What is diseased in many cases.

        Args:
            indices: which cases; all of them by default.

        Returns:
            boolean, shape (N, resolution, resolution).

        Raises:
            InputError: if a case has no mask.
        """
        places = range(len(self)) if indices is None else [int(index) for index in indices]
        result = torch.empty(len(places), self.resolution, self.resolution, dtype=torch.bool)
        for row, place in enumerate(places):
            picture = self.mask_picture(place)
            got = f"{self.path}, where {self.rows[place].id} has none"
            check(picture is not None, "data", "hold a mask for every image", got, "prepare it with masks")
            result[row] = from_mask(picture)
        return result


class ImageLMDBWriter(LMDBFormat):
    """Writes prepared data: the file that `ImageLMDB` reads."""

    recognises = staticmethod(is_lmdb)

    def put_image(self, number: int, png: bytes) -> None:
        """Store one image."""
        self._writer.put(image_key(number), png)

    def put_mask(self, number: int, png: bytes) -> None:
        """Store the mask of one image."""
        self._writer.put(mask_key(number), png)

    def finish(self, rows: Sequence[Row], class_names: Sequence[str], facts: Mapping[str, Any]) -> None:
        """Store the cases and what is said about all of them."""
        for number, row in enumerate(rows):
            self._writer.put_json(case_key(number), row.record())
        self._writer.put_json(b"meta", {"format": FORMAT, "class_names": list(class_names), **facts})


def decode_png(data: bytes) -> Image.Image:
    """PNG bytes as "L" or "RGB" picture."""
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture


def encode_png(picture: Image.Image) -> bytes:
    """An "L" or "RGB" picture as PNG bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
