"""A folder, or a zip archive read in place: names of files, and their bytes."""

from __future__ import annotations

import io
import zlib
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

from PIL import Image

from histoxplain._checks import InputError
from histoxplain.data.dicom import PREAMBLE, begins_as_dicom, may_be_dicom
from histoxplain.data.folder import SUFFIXES, class_folders, walk
from histoxplain.data.transforms import WHITE_16_BIT, UnreadableImageError, decode_picture
from histoxplain.data.window import Window

LARGEST = 1 << 30
"""Files that unpack to more bytes than this are no images."""
UNREADABLE = (BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
"""What reading a damaged or encrypted member raises."""


@dataclass(frozen=True)
class Tree:
    """Files by their paths inside a folder or an archive, with `/` between the parts, in alphabetical order."""

    names: tuple[str, ...]
    read: Callable[[str], bytes]
    begin: Callable[[str], bytes]
    """The first `PREAMBLE` bytes of a file; none if it cannot be read."""
    folders: tuple[str, ...] = ()
    """Folders, with a slash at their ends, as far as they are known: they may be empty."""

    @classmethod
    def of_folder(cls, root: Path) -> Tree:
        """All files below a folder."""
        names = tuple(sorted(file.relative_to(root).as_posix() for file in walk(root)))
        folders = tuple(f"{name}/" for name in class_folders(root))
        return cls(names, lambda name: (root / name).read_bytes(), lambda name: begin_file(root / name), folders)

    @classmethod
    def of_zip(cls, archive: Callable[[], ZipFile]) -> Tree:
        """All files of an archive; `archive` gives it open, in the process that asks."""
        names = sorted(archive().namelist())
        files, folders = (tuple(name for name in names if name.endswith("/") is folder) for folder in (False, True))
        return cls(
            files, lambda name: read_member(archive(), name), lambda name: begin_member(archive(), name), folders
        )

    def __contains__(self, name: str) -> bool:
        place = bisect_left(self.names, name)
        return self.names[place : place + 1] == (name,)

    @cached_property
    def images(self) -> frozenset[str]:
        """Visible files that promise an image by their endings, and DICOM without one."""
        return frozenset(name for name in self.names if visible(name) and self._promises(name))

    def _promises(self, name: str) -> bool:
        ending = PurePosixPath(name).suffix.lower()
        return ending in SUFFIXES or (may_be_dicom(name) and begins_as_dicom(self.begin(name)))

    def picture(
        self, name: str, white: int = WHITE_16_BIT, window: Window = None, frame: int | None = None
    ) -> Image.Image:
        """An image file as "L" or "RGB" picture; see `open_picture`.

        Raises:
            UnreadableImageError: if it cannot be read.
        """
        return decode_picture(io.BytesIO(self.read(name)), name, white, window, frame)

    def text(self, name: str) -> str:
        """A file as text.

        Raises:
            InputError: if it is not UTF-8.
        """
        try:
            return self.read(name).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"`data` must hold text in UTF-8, got {name} ({error}).") from error


def open_zip(path: Path) -> ZipFile:
    """Open an archive for reading.

    Raises:
        InputError: if it is none, or was cut off.
    """
    try:
        return ZipFile(path)
    except (BadZipFile, OSError) as error:
        raise InputError(f"`data` must be a readable zip file, got {path} ({error}); copy it again.") from error


def begin_file(path: Path) -> bytes:
    """The first bytes of a file; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(PREAMBLE)
    except OSError:
        return b""


def begin_member(archive: ZipFile, name: str) -> bytes:
    """The first bytes of one file of an archive; none if it cannot be read."""
    try:
        with archive.open(name) as file:
            return file.read(PREAMBLE)
    except UNREADABLE:
        return b""


def read_member(archive: ZipFile, name: str) -> bytes:
    """The bytes of one file of an archive.

    Raises:
        UnreadableImageError: if it is damaged, encrypted, or unpacks to more than `LARGEST`.
    """
    if archive.getinfo(name).file_size > LARGEST:
        raise UnreadableImageError(name, "too large for an image")
    try:
        return archive.read(name)
    except UNREADABLE as error:
        raise UnreadableImageError(name, f"damaged in the archive: {error}") from error


def visible(name: str) -> bool:
    """Whether neither the file nor a folder above it is hidden or a leftover of some program.

    Example:
        >>> visible("lung/a.png"), visible("__MACOSX/a.png"), visible("lung/._a.png")
        (True, False, False)
    """
    return not any(part.startswith((".", "__")) for part in PurePosixPath(name).parts)
