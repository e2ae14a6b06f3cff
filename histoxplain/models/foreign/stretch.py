"""Stretches of files as streams of their own, so that what nobody asks for is never read."""

from __future__ import annotations

from errno import EINVAL
from typing import BinaryIO


class Stretch:
    r"""Some bytes of a file, as a stream to read from; it holds none of them.

    Several stretches share a file that is open for reading, each with a place of its own. Whatever lengths a file
    claims beyond its end take no memory.

    Args:
        file: a file or `BytesIO`.
        start: where in the file the stretch begins.
        size: how many bytes it has.

    Example:
        >>> from io import BytesIO
        >>> stretch = Stretch(BytesIO(b"a line\nand more"), 2, 12)
        >>> stretch.readline(), stretch.read(3), stretch.read(10**15)
        (b'line\n', b'and', b' mor')
    """

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self.file, self.start, self.size = file, start, size
        self.place = 0

    def __len__(self) -> int:
        return self.size

    @property
    def rest(self) -> int:
        """How many bytes follow."""
        return max(self.size - self.place, 0)

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The place, counted from the beginning of the stretch."""
        return self.place

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place counted from the beginning (0), from here (1) or from the end (2).

        Raises:
            OSError: if that lies before the beginning.
        """
        place = offset + (0, self.place, self.size)[whence]
        if place < 0:
            raise OSError(EINVAL, "a place before the beginning")
        self.place = place
        return place

    def read(self, size: int = -1) -> bytes:
        """The next bytes, as many as there are but no more than `size`."""
        self.file.seek(self.start + self.place)
        data = self.file.read(self.rest if size < 0 else min(size, self.rest))
        self.place += len(data)
        return data

    def readline(self) -> bytes:
        """What follows up to the end of the line, that included."""
        self.file.seek(self.start + self.place)
        data = self.file.readline(self.rest)
        self.place += len(data)
        return data

    def cut(self, size: int) -> Stretch:
        """The next bytes as a stretch, unread; shorter than `size` where fewer follow."""
        piece = Stretch(self.file, self.start + self.place, min(size, self.rest))
        self.place += len(piece)
        return piece

    def fill(self, place: int, buffer: memoryview) -> int:
        """Read from a place into a buffer of bytes; returns how many there were."""
        self.file.seek(self.start + place)
        return self.file.readinto(buffer[: max(self.size - place, 0)])
