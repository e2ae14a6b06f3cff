"""Writing an LMDB so that it appears whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import lmdb

from histoxplain._atomic import replacing
from histoxplain._checks import check_power_of_two


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


class LMDBFormat:
    """What the formats that are an LMDB share in writing: it appears whole, and generators can draw its images.

    Args:
        path: the file of the LMDB.
    """

    channels: int | None = None
    """Of the images, where the format takes no others."""

    def __init__(self, path: Path) -> None:
        self._writer = LMDBWriter(path)

    @staticmethod
    def check_resolution(resolution: int) -> None:
        """Generators draw powers of two."""
        check_power_of_two("resolution", resolution)

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._writer.__exit__(*error)
