"""LMDBs of the rosinality family: a folder with images under `256-00007`, and their labels beside them.

rosinality/stylegan2-pytorch has no labels; HistoXplaining adds `256-00007-label` with one byte, CheXplaining with one
byte for each of 14 findings; both always say 256, whatever the size of the images.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from histoxplain._checks import InputError, check
from histoxplain.data.companion import NAME, Companion, complete, describe
from histoxplain.data.labels import Label, shared_labels, with_labels
from histoxplain.data.lmdb import LMDBSource, data_file, decode_png
from histoxplain.data.lmdb_writer import LMDBFormat
from histoxplain.data.source import Row

FIRST_KEY = re.compile(rb"(\d+)-0+")


def image_key(size: int, number: int) -> bytes:
    """Key of an image.

    Example:
        >>> image_key(256, 7)
        b'256-00007'
    """
    return b"%d-%05d" % (size, number)


def label_key(size: int, number: int) -> bytes:
    """Key of an image's label."""
    return image_key(size, number) + b"-label"


class RosinalityLMDB(LMDBSource):
    """Images of a rosinality, HistoXplaining or CheXplaining LMDB. Of several resolutions the largest is read.

    Args:
        path: the folder that holds `data.mdb`.
        split: one of `histoxplain`'s splits, if the file was written by it; else None.
        size: the number in the keys; the largest by default.

    Raises:
        InputError: if the file is damaged or of another kind.
    """

    def __init__(self, path: str | Path, split: str | None = None, size: int | None = None) -> None:
        super().__init__(path)
        length = self._find([b"length"])[0]
        check(length is not None and length.isdigit(), "data", "say its `length`", self.path, "it is some other LMDB")
        count = int(length)
        self.size = self._largest_size() if size is None else size
        labels = self._labels(count)
        companion = Companion.parse(self._find([NAME.encode()])[0], count)
        rows = [Row(f"{number:05d}", split=None) for number in range(count)]
        rows, class_names = complete(with_labels(rows, labels), companion)
        first = self._decode(0)
        self._list(rows, class_names, first.width, 3 if first.mode == "RGB" else 1, split)

    def _largest_size(self) -> int:
        """The largest number that the keys start with."""
        with self.resource.begin() as transaction:
            keys = (FIRST_KEY.fullmatch(key) for key in transaction.cursor().iternext(values=False))
            sizes = [int(key[1]) for key in keys if key]
        check(bool(sizes), "data", "hold images under keys such as 256-00000", self.path, "it is some other LMDB")
        return max(sizes)

    def _labels(self, count: int) -> list[Label]:
        """One byte is a class, several are a vector."""
        values = self._find(label_key(self.size, number) for number in range(count))
        return [None if not value else value[0] if len(value) == 1 else tuple(map(float, value)) for value in values]

    def _decode(self, number: int) -> Image.Image:
        data = self._read([image_key(self.size, number)])[0]
        try:
            picture = decode_png(data)
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(f"`data` must hold readable images, got number {number} damaged ({error}).") from error
        return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")

    def picture(self, index: int) -> Image.Image:
        """A case's image as "L" or "RGB" picture."""
        return self._decode(self.numbers[index])


class RosinalityWriter(LMDBFormat):
    """Writes what rosinality's training reads: a folder with `data.mdb`.

    Images are RGB, which its programs take for granted, and PNG, which they read as well as JPEG, without its losses.
    """

    channels = 3
    size: ClassVar[int | None] = None
    labelled: ClassVar[bool] = False

    def __init__(self, path: Path) -> None:
        self.path, self._made = path, not path.exists()
        super().__init__(path / "data.mdb")
        self._resolution = 0

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether `path` is a folder that may be written to: with an LMDB, or empty."""
        return path.is_dir() and (data_file(path).is_file() or not any(path.iterdir()))

    def __exit__(self, *error: Any) -> None:
        try:
            super().__exit__(*error)
        finally:
            if self._made:
                with suppress(OSError):  # there is something in it: all went well
                    self.path.rmdir()

    def put_image(self, number: int, png: bytes) -> None:
        """Store one image."""
        self._resolution = self._resolution or decode_png(png).width
        self._writer.put(image_key(self.size or self._resolution, number), png)

    def finish(self, rows: Sequence[Row], class_names: Sequence[str], facts: Mapping[str, Any]) -> None:
        """Store labels, length, and the companion."""
        labels = shared_labels(rows)
        check(not self.labelled or labels is not None, "data", "have a label for every image", "some without")
        for number, label in enumerate(labels or []):
            self._writer.put(label_key(self.size or self._resolution, number), label_bytes(label))
        self._writer.put(b"length", b"%d" % len(rows))
        self._writer.put(NAME.encode(), json.dumps(describe(rows, class_names, facts)).encode())


class HistoXplainingWriter(RosinalityWriter):
    """Writes what HistoXplaining and CheXplaining read: every image has a label, and the keys say 256."""

    size = 256
    labelled = True


def label_bytes(label: int | Sequence[float]) -> bytes:
    r"""A class as one byte, a vector as one byte each.

    Raises:
        InputError: if a number does not fit.

    Example:
        >>> label_bytes(2), label_bytes([1, 0, 1])
        (b'\x02', b'\x01\x00\x01')
    """
    values = [label] if isinstance(label, int) else list(label)
    fits = all(value == int(value) and 0 <= value < 256 for value in values)
    check(fits, "labels", "be whole numbers from 0 to 255 in this format", label, "write a zip instead")
    return bytes(int(value) for value in values)
