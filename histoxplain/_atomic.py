"""Files and folders appear whole or not at all: write beside, then rename."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; renamed to `path` when the block ends well, deleted when it does not.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with replacing(f"{folder}/a.txt") as part:
        ...         _ = part.write_text("whole")
        ...     print(sorted(p.name for p in Path(folder).iterdir()))
        ['a.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; it takes the place of `path` when the block ends well, and goes otherwise.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with replacing_folder(f"{folder}/a") as part:
        ...         _ = (part / "b.txt").write_text("whole")
        ...     print(*(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*.txt")))
        a/b.txt
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        shutil.rmtree(path, ignore_errors=True)
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def replacing_files(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; its files move into `path` when the block ends well, and go otherwise.

    Other files in `path` stay.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a").mkdir(), Path(folder, "a/old.txt").write_text("stays")
        ...     with replacing_files(f"{folder}/a") as part:
        ...         _ = (part / "b.txt").write_text("whole")
        ...     print(sorted(p.name for p in Path(folder, "a").iterdir()), len(list(Path(folder).iterdir())))
        ['b.txt', 'old.txt'] 1
    """
    path = Path(path).absolute()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        path.mkdir(exist_ok=True)
        for file in part.iterdir():
            file.replace(path / file.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
