"""Tensors in other people's files: where their numbers lie, found without `torch.load`, read when they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from math import prod
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import torch
from torch import Tensor

from histoxplain.models.foreign.pickles import MOST_OPERATIONS, PLAIN, RefusedError, Table, read_pickle
from histoxplain.models.foreign.stretch import Stretch

Shape = tuple[int, ...]
MAGIC = 0x1950A86A20F9469CFC6C  # opens what torch.save wrote before version 1.6, and still writes for a single storage
MOST_FOR_ONE = 300  # operations that a single storage takes
DTYPES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}


@dataclass
class Storage:
    """A row of `count` numbers; `fill` reads bytes from a place on into a buffer, and tells how many there were."""

    dtype: torch.dtype
    count: int
    fill: Callable[[int, memoryview], int] | None = None

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.count * self.dtype.itemsize


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that is still in the file."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return prod(self.shape) * self.storage.dtype.itemsize

    def load(self) -> Tensor:
        """Read the numbers; floating-point ones become float32.

        Raises:
            RefusedError: if there are fewer than the file says.
        """
        if not prod(self.shape):
            return torch.zeros(self.shape)
        size = self.storage.dtype.itemsize
        wanted = size * (1 + sum((length - 1) * step for length, step in zip(self.shape, self.stride)))
        if self.storage.fill is None:
            raise RefusedError("whose tensors have no numbers")
        raw = torch.empty(wanted, dtype=torch.uint8)
        found = self.storage.fill(size * self.offset, memoryview(raw.numpy()))
        if found != wanted:
            raise RefusedError(f"whose data end after {found} of {wanted} bytes")
        tensor = raw.view(self.storage.dtype).as_strided(self.shape, self.stride).contiguous()
        return tensor.float() if tensor.is_floating_point() else tensor

    def without_axes(self, before: int, after: int) -> StoredTensor:
        """The same tensor without its first `before` and last `after` axes, which have to have length 1."""
        inner = slice(before, len(self.shape) - after)
        if len(self.shape) < before + after or prod(self.shape[inner]) != prod(self.shape):
            raise RefusedError(f"with a tensor of the unexpected shape {self.shape}")
        return replace(self, shape=self.shape[inner], stride=self.stride[inner])


def rebuild_tensor(storage: Storage, offset: int, shape: Shape, stride: Shape, *_: Any) -> StoredTensor:
    """What stands for `torch._utils._rebuild_tensor_v2`: a view of a storage.

    Raises:
        RefusedError: if it claims more numbers than the storage has.

    Example:
        >>> rebuild_tensor(Storage(torch.float32, 6), 0, (2, 3), (3, 1)).nbytes
        24
        >>> rebuild_tensor(Storage(torch.float32, 1), 0, (2**38,), (0,))
        Traceback (most recent call last):
        histoxplain.models.foreign.pickles.RefusedError: which claims a tensor of shape (274877906944,) in a ...
    """
    numbers = (offset, *shape, *stride)
    whole = all(isinstance(number, int) and 0 <= number < 2**48 for number in numbers)
    if not isinstance(storage, Storage) or not whole or len(shape) != len(stride) or len(shape) > 8:
        raise TypeError("not a tensor")
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if prod(shape) and (last >= storage.count or prod(shape) > storage.count):
        raise RefusedError(f"which claims a tensor of shape {tuple(shape)} in a storage of {storage.count}")
    return StoredTensor(storage, offset, tuple(shape), tuple(stride))


TENSORS: Table = {
    **PLAIN,
    **{f"torch.{name}Storage": dtype for name, dtype in DTYPES.items()},
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
    "torch.Size": lambda sizes=(): sizes,
    "torch.device": lambda kind, *_: kind,
}


def load_from_bytes(data: bytes | Stretch) -> Storage:
    """What stands for `torch.storage._load_from_bytes`: one storage, as `torch.save` wrote it into a pickle.

    Raises:
        RefusedError: if the bytes hold anything else.
    """
    if not isinstance(data, bytes | Stretch):
        raise TypeError("not bytes")
    file, start = (BytesIO(data), 0) if isinstance(data, bytes) else (data.file, data.start)
    storage = read_stream(Stretch(file, start, len(data)), TENSORS, MOST_FOR_ONE)
    if not isinstance(storage, Storage):
        raise RefusedError("whose tensors hold something else than numbers")
    return storage


def read_stream(stream: Stretch, table: Table, most: int = MOST_OPERATIONS) -> Any:
    """A pickle, or a file of `torch.save`: a zip archive or, before version 1.6, five pickles and the numbers.

    Raises:
        RefusedError, or the errors of `read_pickle`.
    """
    start = stream.read(4)
    stream.seek(0)
    if start == b"PK\x03\x04":
        return read_archive(ZipFile(stream), table, most)
    first = read_pickle(stream, table, most=most)
    return _read_legacy(stream, table, most) if type(first) is int and first == MAGIC else first


def _read_legacy(stream: Stretch, table: Table, most: int) -> Any:
    for _ in ("protocol", "machine"):
        read_pickle(stream, {}, most=most)
    storages: dict[str, Storage] = {}

    def find(pid: Any) -> Storage:
        dtype, key, count, view = _storage_id(pid)
        if view is not None:
            raise RefusedError("which shares storages in the way of torch 0.3")
        return storages.setdefault(key, Storage(dtype, count))

    contents, keys = read_pickle(stream, table, find, most), read_pickle(stream, {}, most=most)
    if not all(isinstance(key, str) for key in keys):
        raise TypeError("not keys")
    for key in keys:
        storage, count = storages[key], int.from_bytes(stream.read(8), "little")
        if count != storage.count:
            raise RefusedError(f"with {count} numbers where it claims {storage.count}")
        data = stream.cut(storage.nbytes)
        if len(data) != storage.nbytes:
            raise RefusedError(f"whose data end after {len(data)} of {storage.nbytes} bytes")
        storage.fill = data.fill
    return contents


def read_archive(archive: ZipFile, table: Table, most: int = MOST_OPERATIONS) -> Any:
    """What `torch.save` wrote as a zip archive, which must stay open while tensors are loaded.

    Raises:
        RefusedError: if records are compressed, missing or shorter than claimed, or it is something else.
    """
    records = {record.filename: record for record in archive.infolist()}
    roots = [name.removesuffix("data.pkl") for name in records if name.count("/") <= 1 and name.endswith("data.pkl")]
    if len(roots) != 1 or f"{roots[0]}constants.pkl" in records:
        raise RefusedError("which is a zip archive, but not one of torch.save")
    if any(record.compress_type != ZIP_STORED for record in records.values()):
        raise RefusedError("which is compressed, as no file of torch.save is")
    archive.fp.seek(0, 2)
    if sum(record.file_size for record in records.values()) > archive.fp.tell():
        raise RefusedError("which claims more data than it has")
    if f"{roots[0]}byteorder" in records and archive.read(f"{roots[0]}byteorder") != b"little":
        raise RefusedError("which was written on a big-endian machine")

    def find(pid: Any) -> Storage:
        dtype, key, count, _ = _storage_id(pid)
        name = f"{roots[0]}data/{key}"
        if name not in records or records[name].file_size != count * dtype.itemsize:
            raise RefusedError(f"whose record {key!r:.40} has not the {count} numbers it claims")
        return Storage(dtype, count, partial(_fill_from, archive, name))

    return read_pickle(BytesIO(archive.read(f"{roots[0]}data.pkl")), table, find, most)


def _fill_from(archive: ZipFile, name: str, place: int, buffer: memoryview) -> int:
    with archive.open(name) as record:
        if place:
            record.seek(place)
        return record.readinto(buffer)


def _storage_id(pid: Any) -> tuple[torch.dtype, str, int, Any]:
    kind, dtype, key, _, count, *view = pid
    right = kind == "storage" and isinstance(dtype, torch.dtype) and isinstance(key, str) and isinstance(count, int)
    if not right or not 0 <= count < 2**48:
        raise TypeError("not a storage")
    return dtype, key, count, view[0] if view else None


def total_bytes(tensors: Mapping[str, StoredTensor]) -> int:
    """Memory that loading all of them takes."""
    return sum(tensor.nbytes for tensor in tensors.values())
