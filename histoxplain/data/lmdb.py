"""Prepared data: one LMDB file with square PNGs, labels, groups and splits.

Keys: `meta` (JSON), `case-00000000` (JSON: id, label, group, split), `image-00000000` (PNG).
"""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lmdb
import torch
from PIL import Image
from torch import Tensor

from histoxplain._atomic import replacing
from histoxplain._checks import InputError, check, check_exists
from histoxplain.data.case import Case
from histoxplain.data.source import Row, Source, rows_of_split
from histoxplain.data.transforms import from_picture, to_unit

FORMAT = "histoxplain.lmdb/1"
MAGIC = b"\xde\xc0\xef\xbe"


def case_key(number: int) -> bytes:
    """Key of a case's record."""
    return b"case-%08d" % number


def image_key(number: int) -> bytes:
    """Key of a case's PNG."""
    return b"image-%08d" % number


def is_lmdb(path: Path) -> bool:
    """Whether `path` is an LMDB file, or a folder with one.

    Example:
        >>> is_lmdb(Path("nowhere"))
        False
    """
    if path.is_dir():
        return (path / "data.mdb").is_file()
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(20)[16:] == MAGIC


class Handle:
    """An open LMDB environment, shared by all readers of a process and opened anew in every forked one."""

    _shared: dict[tuple[int, int], Handle] = {}

    def __init__(self, path: Path, key: tuple[int, int]) -> None:
        self.path, self.key, self.readers = path, key, 0
        self._environment: lmdb.Environment | None = None
        self._process = 0

    @classmethod
    def of(cls, path: Path) -> Handle:
        """The handle of a file, counting one more reader."""
        status = path.stat()
        key = status.st_dev, status.st_ino
        handle = cls._shared.setdefault(key, cls(path, key))
        handle.readers += 1
        return handle

    @property
    def environment(self) -> lmdb.Environment:
        """The environment, opened by this very process."""
        if self._process != os.getpid():
            self._close_environment()
            folder = self.path.is_dir()
            self._environment = lmdb.open(str(self.path), subdir=folder, readonly=True, lock=False, readahead=False)
            self._process = os.getpid()
            self._check_length()
        return self._environment

    def _check_length(self) -> None:
        """Reading past the end of a file that was cut off would kill the process."""
        environment = self._environment
        needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
        length = (self.path / "data.mdb" if self.path.is_dir() else self.path).stat().st_size
        check(length >= needed, "data", "be complete", f"{self.path}, which was cut off", "prepare or copy it again")

    def release(self) -> None:
        """One reader less; the last one closes the file."""
        self.readers -= 1
        if self.readers == 0:
            self._shared.pop(self.key, None)
            self._close_environment()

    def _close_environment(self) -> None:
        if self._environment is not None:
            self._environment.close()
        self._environment, self._process = None, 0


class ImageLMDB(Source):
    """Images prepared by `histoxplain prepare`: square, of one size, split.

    Safe in `DataLoader` workers: a forked or spawned process opens the file for itself. Use it in `with`, call
    `close()`, or let it go out of scope.

    Args:
        path: the LMDB file, or a folder that holds `data.mdb`.
        split: "train", "validation", "test", or None for all cases.

    Raises:
        InputError: if the file is missing, damaged or not made by `histoxplain prepare`.
    """

    def __init__(self, path: str | Path, split: str | None = None) -> None:
        self.path = check_exists("data", path)
        self.split = split
        self._open()
        self.meta = self._read_meta()
        rows = [Row(**json.loads(record)) for record in self._read(map(case_key, range(self.meta["count"])))]
        self.numbers = rows_of_split(rows, split)
        chosen = [rows[i] for i in self.numbers]
        super().__init__(chosen, self.meta["class_names"], self.meta["resolution"], self.meta["channels"])

    def _open(self) -> None:
        self._handle = Handle.of(self.path)
        self.close = weakref.finalize(self, self._handle.release)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_handle", "close")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open()

    def __enter__(self) -> ImageLMDB:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, keys: Any) -> list[bytes]:
        """Values of several keys, in one transaction."""
        check(self.close.alive, "data", "be open", f"{self.path}, which was closed", "open it again")
        try:
            with self._handle.environment.begin() as transaction:
                values = [transaction.get(key) for key in keys]
        except lmdb.Error as error:
            self.close()
            raise InputError(f"`data` must be a readable LMDB, got {self.path} ({error}); prepare it again.") from error
        missing = any(value is None for value in values)
        check(not missing, "data", "be complete", f"{self.path}, which lacks records", "prepare it again")
        return values

    def _read_meta(self) -> dict[str, Any]:
        meta = json.loads(self._read([b"meta"])[0])
        known = meta.get("format") == FORMAT
        check(known, "data", f"have format {FORMAT}", meta.get("format"), "prepare it again with this version")
        return meta

    def __getitem__(self, index: int) -> Case:
        row = self.rows[index]
        return Case(to_unit(self.pixels([index])[0]), None if row.label < 0 else row.label, row.id, row.group)

    def picture(self, index: int) -> Image.Image:
        """A case's image as "L" or "RGB" picture."""
        return decode_png(self._read([image_key(self.numbers[index])])[0])

    def pixels(self, indices: Sequence[int] | None = None, workers: int = 2) -> Tensor:
        """Decode many images in one go, for training in memory.

        Args:
            indices: which cases; all of them by default.
            workers: threads that decode.

        Returns:
            uint8, shape (N, C, resolution, resolution).
        """
        places = range(len(self)) if indices is None else [int(index) for index in indices]
        result = torch.empty(len(places), self.channels, self.resolution, self.resolution, dtype=torch.uint8)

        def decode(row: int, place: int) -> None:
            result[row] = from_picture(self.picture(place))

        check(self.close.alive, "data", "be open", f"{self.path}, which was closed", "open it again")
        assert self._handle.environment is not None  # opened here, before threads race for it
        if len(places) < 2 * workers:
            for row, place in enumerate(places):
                decode(row, place)
            return result
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(decode, range(len(places)), places))
        return result


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


class LMDBWriter:
    """Writes an LMDB beside its destination and moves it there when everything is in it.

    Leaving the `with` block by an error (a full disk, Ctrl-C) leaves nothing behind, and an older file untouched.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with LMDBWriter(Path(folder) / "a.lmdb") as writer:
        ...         writer.put(b"key", b"value")
        ...     [file.name for file in Path(folder).iterdir()]
        ['a.lmdb']
    """

    BATCH = 1 << 26

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._pending: dict[bytes, bytes] = {}
        self._size = 0

    def __enter__(self) -> LMDBWriter:
        with ExitStack() as stack:
            draft = stack.enter_context(replacing(self.path))
            draft.unlink(missing_ok=True)
            draft.touch()  # says better than LMDB why it cannot be written
            self._environment = lmdb.open(str(draft), subdir=False, lock=False, map_size=1 << 28, sync=False)
            stack.callback(self._environment.close)
            self._stack = stack.pop_all()
        return self

    def put(self, key: bytes, value: bytes) -> None:
        """Store one record."""
        self._pending[key] = value
        self._size += len(value)
        if self._size >= self.BATCH:
            self._flush()

    def put_json(self, key: bytes, value: Any) -> None:
        """Store one record as JSON."""
        self.put(key, json.dumps(value).encode())

    def _flush(self) -> None:
        """Write what is pending, with a larger map as often as it takes."""
        while self._pending:
            try:
                with self._environment.begin(write=True) as transaction:
                    for key, value in self._pending.items():
                        transaction.put(key, value)
                self._pending, self._size = {}, 0
            except lmdb.MapFullError:
                self._environment.set_mapsize(2 * self._environment.info()["map_size"])
            except lmdb.Error as error:
                raise as_os_error(error, self.path) from error

    def _finish(self) -> None:
        self._flush()
        try:
            self._environment.sync(True)
        except lmdb.Error as error:
            raise as_os_error(error, self.path) from error

    def __exit__(self, *error: Any) -> None:
        if error[0] is not None:
            self._stack.__exit__(*error)
            return
        with self._stack:
            self._finish()


def as_os_error(error: lmdb.Error, path: Path) -> OSError:
    """LMDB's error as the operating system's; on a full disk LMDB only speaks of an input/output error."""
    full = "No space left" in str(error) or shutil.disk_usage(path.parent).free < LMDBWriter.BATCH
    code = errno.ENOSPC if full else errno.EIO
    return OSError(code, os.strerror(code), str(path))
