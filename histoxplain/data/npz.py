"""MedMNIST's npz files, 28 to 224 px, read in place: the images of a split lie in one array, its labels in another."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any, Self
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

import numpy as np
from numpy.lib import format as npy
from PIL import Image

from histoxplain._atomic import replacing
from histoxplain._checks import InputError, check, check_at_least
from histoxplain.data.companion import NAME, Companion, complete, describe
from histoxplain.data.labels import Label, label_of, with_labels
from histoxplain.data.lmdb import decode_png
from histoxplain.data.member import ZipMember
from histoxplain.data.published import medmnist_classes
from histoxplain.data.source import Row
from histoxplain.data.stored import StoredSource
from histoxplain.data.transforms import SMALLEST_SIDE

SPLITS = {"train": "train", "val": "validation", "test": "test"}
"""MedMNIST's names of the splits, and ours."""


def is_npz(path: Path) -> bool:
    """Whether `path` is named as an npz file.

    Example:
        >>> is_npz(Path("pathmnist_64.npz"))
        True
    """
    return path.suffix.lower() == ".npz" and not path.is_dir()


class NPYArray:
    """An array in an npz file: its shape and type, and rows of it."""

    def __init__(self, member: ZipMember) -> None:
        head = io.BytesIO(member.read(0, min(member.size, 4096)))
        try:
            version = npy.read_magic(head)
            read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            self.shape, columns_first, self.dtype = read_header(head)
        except ValueError as error:
            raise InputError(f"`data` must hold arrays, got {member.name} ({error}).") from error
        plain = not self.dtype.hasobject and not columns_first
        check(plain, "data", "hold arrays of numbers, row by row", f"{member.name} with {self.dtype}")
        self._member, self._start = member, head.tell()
        self._row = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def rows(self, first: int, count: int) -> np.ndarray:
        """Rows `first` to `first + count`."""
        data = self._member.read(self._start + first * self._row, count * self._row)
        return np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])


class NPZFile:
    """An open npz file: arrays by name, and the companion if it has one.

    Raises:
        InputError: if it is no npz file, or was cut off.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._archive = ZipFile(path)
        except (BadZipFile, OSError) as error:
            raise InputError(f"`data` must be a readable npz file, got {path} ({error}); fetch it again.") from error
        lock, file = Lock(), self._archive.fp
        infos = [info for info in self._archive.infolist() if info.filename.endswith(".npy")]
        members = {info.filename.removesuffix(".npy"): ZipMember(file, info, lock) for info in infos}
        self.arrays = {name: NPYArray(member) for name, member in members.items()}
        self.companion = self._archive.read(NAME) if NAME in self._archive.namelist() else None

    def close(self) -> None:
        """Close the file."""
        self._archive.close()


class ImageNPZ(StoredSource):
    """Images of a MedMNIST file; training images first, then validation, then test.

    Args:
        path: the npz file.
        split: "train", "validation", "test", or None for all cases.

    Raises:
        InputError: if the file is damaged, or its images are not square, 8-bit and two-dimensional.
    """

    opener = staticmethod(NPZFile)

    def __init__(self, path: str | Path, split: str | None = None) -> None:
        super().__init__(path)
        arrays = self.resource.arrays
        self._parts = [part for part in SPLITS if f"{part}_images" in arrays]
        check(bool(self._parts), "data", "hold `train_images`, as MedMNIST does", f"{path} with {list(arrays)}")
        shapes = {check_images(part, arrays[f"{part}_images"]) for part in self._parts}
        check(len(shapes) == 1, "data", "hold images of one size", f"{path} with {sorted(shapes)}")
        side, channels = shapes.pop()
        rows, labels = [], []
        for part in self._parts:
            count = arrays[f"{part}_images"].shape[0]
            width = len(str(max(count - 1, 0)))
            rows += [Row(f"{part}/{i:0{width}d}", split=SPLITS[part]) for i in range(count)]
            labels += read_labels(arrays.get(f"{part}_labels"), count)
        companion = Companion.parse(self.resource.companion, len(rows))
        rows, numbers = complete(with_labels(rows, labels), companion)
        names = medmnist_classes(self.path.stem)
        fitting = companion is None and names is not None and len(names) >= len(numbers)
        self._list(rows, names if fitting else numbers, side, channels, split)

    def picture(self, index: int) -> Image.Image:
        """A case's image as "L" or "RGB" picture."""
        number = self.numbers[index]
        for part in self._parts:
            images = self.resource.arrays[f"{part}_images"]
            if number < images.shape[0]:
                return Image.fromarray(np.squeeze(images.rows(number, 1)[0]))
            number -= images.shape[0]
        raise IndexError(index)


def check_images(part: str, images: NPYArray) -> tuple[int, int]:
    """Side and channels of an array of images (N, H, W), (N, H, W, 1) or (N, H, W, 3)."""
    shape = images.shape
    channels = 1 if len(shape) == 3 else shape[3] if len(shape) == 4 else 0
    fine = images.dtype == np.uint8 and channels in (1, 3) and shape[1] == shape[2]
    got = f"{part}_images with {shape} of {images.dtype}"
    check(fine, "data", "hold square 8-bit images (N, H, W) or (N, H, W, 3)", got, "volumes are not read")
    return shape[1], channels


def read_labels(array: NPYArray | None, count: int) -> list[Label]:
    """Labels (N,) or (N, 1) are classes, -1 if unknown; (N, L) are vectors."""
    if array is None:
        return [None] * count
    check(array.shape[0] == count, "labels", f"be as many as the images ({count})", array.shape[0])
    values = array.rows(0, count).reshape(count, int(np.prod(array.shape[1:])))
    if values.shape[1] == 1:
        return [int(value) if value >= 0 else None for value in values[:, 0]]
    return [tuple(map(float, value)) for value in values]


class NPZWriter:
    """Writes a file that MedMNIST's programs read; ids, groups and class names lie beside its arrays.

    Which image goes to which split is known at the end only, so pixels wait in a temporary file.
    """

    channels: int | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self._shape: tuple[int, ...] = ()

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether `path` is such a file."""
        try:
            with ZipFile(path) as archive:
                return any(f"{part}_images.npy" in archive.namelist() for part in SPLITS)
        except (BadZipFile, OSError):
            return False

    @staticmethod
    def check_resolution(resolution: int) -> None:
        """MedMNIST's sizes are no powers of two."""
        check_at_least("resolution", resolution, SMALLEST_SIDE)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            draft = stack.enter_context(replacing(self.path))
            self._spool = stack.enter_context(tempfile.TemporaryFile(dir=self.path.parent))
            self._archive = stack.enter_context(ZipFile(draft, "w", ZIP_DEFLATED, compresslevel=1))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def put_image(self, number: int, png: bytes) -> None:
        """Keep one image."""
        pixels = np.asarray(decode_png(png))
        self._shape = pixels.shape
        self._spool.write(pixels.tobytes())

    def finish(self, rows: Sequence[Row], class_names: Sequence[str], facts: Mapping[str, Any]) -> None:
        """Write the arrays of every split, and the companion."""
        ordered = []
        for part, split in SPLITS.items():
            numbers = [i for i, row in enumerate(rows) if row.split == split]
            chosen = [rows[i] for i in numbers]
            self._write_images(f"{part}_images.npy", numbers)
            with self._archive.open(f"{part}_labels.npy", "w") as file:
                npy.write_array(file, label_array(chosen), allow_pickle=False)
            ordered += chosen
        self._archive.writestr(NAME, json.dumps(describe(ordered, class_names, facts)))

    def _write_images(self, name: str, numbers: Sequence[int]) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(numbers), *self._shape)}
        size = int(np.prod(self._shape))
        with self._archive.open(name, "w", force_zip64=True) as file:
            npy.write_array_header_1_0(file, header)
            for number in numbers:
                self._spool.seek(number * size)
                file.write(self._spool.read(size))


def label_array(rows: Sequence[Row]) -> np.ndarray:
    """Labels (N, 1) or (N, L), in 8 bits as MedMNIST has them where they fit; -1 is unknown."""
    labels = [-1 if (label := label_of(row)) is None else label for row in rows]
    values = np.array(labels, dtype=np.float64).reshape(len(rows), -1) if rows else np.zeros((0, 1))
    whole = (values == np.rint(values)).all()
    small = whole and values.size and values.min() >= 0 and values.max() < 256
    return values.astype(np.uint8 if small or not values.size else np.int64 if whole else np.float32)
