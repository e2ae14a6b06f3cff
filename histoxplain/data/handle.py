"""An open file that all readers of a process share, and that every forked process opens for itself."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Handle:
    """A resource that was opened from a file, counted by its readers and closed with the last one.

    A forked process inherits the file but not the right to use it: positions are shared with the parent, and LMDB
    forbids it. So the first use in another process closes what was inherited and opens the file anew.

    Args:
        path: the file.
        opener: from the path to a resource with `close()`.
    """

    _shared: dict[tuple[int, int, str], Handle] = {}

    def __init__(self, path: Path, opener: Callable[[Path], Any], key: tuple[int, int, str]) -> None:
        self.path, self.opener, self.key, self.readers = path, opener, key, 0
        self._resource: Any = None
        self._process = 0

    @classmethod
    def of(cls, path: Path, opener: Callable[[Path], Any]) -> Handle:
        """The handle of a file, counting one more reader."""
        status = path.stat()
        key = status.st_dev, status.st_ino, opener.__qualname__
        handle = cls._shared.setdefault(key, cls(path, opener, key))
        handle.readers += 1
        return handle

    @property
    def resource(self) -> Any:
        """The resource, opened by this very process."""
        if self._process != os.getpid():
            self._close()
            self._resource = self.opener(self.path)
            self._process = os.getpid()
        return self._resource

    def release(self) -> None:
        """One reader less; the last one closes the file."""
        self.readers -= 1
        if self.readers == 0:
            self._shared.pop(self.key, None)
            self._close()

    def _close(self) -> None:
        if self._resource is not None:
            self._resource.close()
        self._resource, self._process = None, 0


def closing_with(owner: object, handle: Handle) -> weakref.finalize:
    """What releases the handle: when called, or when its owner goes out of scope."""
    return weakref.finalize(owner, handle.release)
