"""Random access to one file of a zip archive, without unpacking it."""

from __future__ import annotations

import struct
import zlib
from collections import OrderedDict
from threading import Lock
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipInfo

from histoxplain._checks import InputError, check

BLOCK = 1 << 22
"""Bytes that are unpacked at a time, at least."""
CACHE = 1 << 28
"""Bytes of unpacked blocks that are kept: small files are in memory when they were read once."""
CHUNK = 1 << 18


class ZipMember:
    """A file of an archive, read anywhere.

    What was stored is read where it lies. What was deflated is unpacked in blocks; the state of the decoder is kept at
    the start of each, so that going back does not start from the beginning. Threads may share it. The checksum is
    verified when the end is reached.

    Args:
        file: the open archive.
        info: which file of it.
        lock: held while the archive is read.
    """

    def __init__(self, file: BinaryIO, info: ZipInfo, lock: Lock) -> None:
        known = info.compress_type in (ZIP_STORED, ZIP_DEFLATED) and not info.flag_bits & 1
        check(known, "data", "be stored or deflated in its archive", f"{info.filename}, packed otherwise", "repack it")
        self._file, self._lock, self.name = file, lock, info.filename
        self.size, self._packed = info.file_size, info.compress_size
        self._deflated = info.compress_type == ZIP_DEFLATED
        with lock:
            file.seek(info.header_offset + 26)
            self._start = info.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
        self._block = max(BLOCK, self.size // 512)
        self._states = [(0, zlib.decompressobj(-zlib.MAX_WBITS))]
        self._crc, self._expected_crc = 0, info.CRC
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def read(self, offset: int, size: int) -> bytes:
        """Some bytes, counted as if the file lay unpacked.

        Raises:
            InputError: if the archive is damaged or ends too early.
        """
        if offset < 0 or offset + size > self.size:
            raise InputError(f"`data` must be complete, got {self.name} that ends too early; fetch it again.")
        with self._lock:
            if not self._deflated:
                return self._raw(offset, size)
            first, last = offset // self._block, (offset + size - 1) // self._block
            data = b"".join(self._unpacked(number) for number in range(first, last + 1))
            return data[offset - first * self._block :][:size]

    def _raw(self, offset: int, size: int) -> bytes:
        self._file.seek(self._start + offset)
        data = self._file.read(size)
        if len(data) < size:
            raise InputError(f"`data` must be complete, got {self.name} that ends too early; fetch it again.")
        return data

    def _unpacked(self, number: int) -> bytes:
        """A block, from memory if it was used lately."""
        for missing in range(len(self._states), number + 1):
            self._unpack(missing - 1)
        if number not in self._blocks:
            self._blocks[number] = self._unpack(number)
        self._blocks.move_to_end(number)
        while len(self._blocks) > 1 and len(self._blocks) * self._block > CACHE:
            self._blocks.popitem(last=False)
        return self._blocks[number]

    def _unpack(self, number: int) -> bytes:
        """Unpack a block, and remember the state of the decoder where the next one starts."""
        position, decoder = self._states[number][0], self._states[number][1].copy()
        wanted = min(self._block, self.size - number * self._block)
        parts = []
        while wanted:
            data = self._raw(position, min(CHUNK, self._packed - position))
            try:
                part = decoder.decompress(data, wanted)
            except zlib.error as error:
                raise InputError(f"`data` must be intact, got {self.name} ({error}); fetch it again.") from error
            if not data and not part:
                raise InputError(f"`data` must be complete, got {self.name} that ends too early; fetch it again.")
            position += len(data) - len(decoder.unconsumed_tail)
            wanted -= len(part)
            parts.append(part)
        block = b"".join(parts)
        if len(self._states) == number + 1:
            self._states.append((position, decoder))
            self._check(block, last=(number + 1) * self._block >= self.size)
        return block

    def _check(self, block: bytes, last: bool) -> None:
        """Hold all blocks, which come in order the first time, against the checksum of the archive."""
        self._crc = zlib.crc32(block, self._crc)
        if last and self._crc != self._expected_crc:
            self._states.pop()
            raise InputError(f"`data` must be intact, got {self.name} with another checksum; fetch it again.")
