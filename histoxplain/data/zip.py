"""Zip archives of images, read in place: NVIDIA's dataset.zip, or the layout of a published data set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any, Self
from zipfile import ZIP_STORED, ZipFile, is_zipfile

from PIL import Image

from histoxplain._atomic import replacing
from histoxplain._checks import check, check_power_of_two
from histoxplain.data.companion import describe
from histoxplain.data.labels import shared_labels
from histoxplain.data.layouts import read_layout
from histoxplain.data.source import Row
from histoxplain.data.stored import StoredSource
from histoxplain.data.table import Table
from histoxplain.data.transforms import WHITE_16_BIT, decode_picture
from histoxplain.data.tree import Tree, open_zip, read_member
from histoxplain.data.window import Window


def is_zip(path: Path) -> bool:
    """Whether `path` is a zip archive, or says so; npz files, which are zip archives too, are not.

    Example:
        >>> is_zip(Path("nowhere.zip"))
        False
    """
    suffix = path.suffix.lower()
    return path.is_file() and suffix != ".npz" and (suffix == ".zip" or is_zipfile(path))


class ImageZip(StoredSource):
    """Images of a zip archive, in alphabetical order.

    With a `dataset.json` inside they are square, of one size, and labelled by it; otherwise labels come from the
    layout (see `histoxplain.data.layouts`), and sizes may be mixed.

    Args:
        path: the archive.
        split: "train", "validation", "test", or None for all cases.
        white: the value of white in 16-bit files.
        window: of DICOM; the number of the file's window, from 1, or centre and width.
        frame: of DICOM of several frames; the number of the one to take, from 1.

    Raises:
        InputError: if the archive is damaged, holds no images, or `dataset.json` is not as it should be.
    """

    opener = staticmethod(open_zip)

    def __init__(
        self,
        path: str | Path,
        split: str | None = None,
        white: int = WHITE_16_BIT,
        window: Window = None,
        frame: int | None = None,
    ) -> None:
        super().__init__(path)
        self.white, self.window, self.frame = white, window, frame
        tree = self.tree
        self.table: Table = read_layout(tree, strip=True)
        check(bool(self.table.rows), "data", "hold images", f"{path} without any that can be used")
        self._names = self.table.names
        resolution, channels = (None, 3)
        if self.table.numbered:
            first = tree.picture(self._names[0], white, window, frame)
            resolution = first.width if first.width == first.height else None
            channels = 3 if first.mode == "RGB" else 1
        self._list(self.table.rows, self.table.class_names, resolution, channels, split)

    @property
    def tree(self) -> Tree:
        """The files of the archive."""
        return Tree.of_zip(lambda: self.resource)

    def picture(self, index: int) -> Image.Image:
        """A case's image as "L" or "RGB" picture."""
        name = self._names[self.numbers[index]]
        return decode_picture(BytesIO(read_member(self.resource, name)), name, self.white, self.window, self.frame)


class ZipWriter:
    """Writes a dataset.zip that NVIDIA's StyleGAN repositories train on; ids, groups and splits lie in dataset.json."""

    channels: int | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names: list[str] = []

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether `path` is such an archive."""
        if not is_zipfile(path):
            return False
        with ZipFile(path) as archive:
            return "dataset.json" in archive.namelist()

    @staticmethod
    def check_resolution(resolution: int) -> None:
        """Its generators draw powers of two."""
        check_power_of_two("resolution", resolution)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            draft = stack.enter_context(replacing(self.path))
            self._archive = stack.enter_context(ZipFile(draft, "w", ZIP_STORED))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def put_image(self, number: int, png: bytes) -> None:
        """Store one image."""
        self._names.append(f"{number // 1000:05d}/img{number:08d}.png")
        self._archive.writestr(self._names[-1], png)

    def finish(self, rows: Sequence[Row], class_names: Sequence[str], facts: Mapping[str, Any]) -> None:
        """Store dataset.json; one image without a label makes all labels null, for the format asks for all or none."""
        labels = shared_labels(rows)
        pairs = None if labels is None else [list(pair) for pair in zip(self._names, labels)]
        fields = {"labels": pairs, "histoxplain": describe(rows, class_names, facts)}
        self._archive.writestr("dataset.json", json.dumps(fields))
