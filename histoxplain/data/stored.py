"""Sources that live in one file which stays open: LMDB, zip, npz."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from PIL import Image
from torch import Tensor

from histoxplain._checks import check, check_exists
from histoxplain.data.case import Case
from histoxplain.data.handle import Handle, closing_with
from histoxplain.data.source import OPTIONAL, Row, Source, rows_of_split
from histoxplain.data.transforms import from_picture, to_channels, to_unit


class StoredSource(Source):
    """Images in one file, read in place.

    Safe in `DataLoader` workers: a forked or spawned process opens the file for itself. Use it in `with`, call
    `close()`, or let it go out of scope. A format says how its file is opened (`opener`) and how a picture comes out
    of it (`picture`); `numbers` are the places of the chosen cases in the file.
    """

    opener: ClassVar[Callable[[Path], Any]]
    numbers: Sequence[int]

    def __init__(self, path: str | Path) -> None:
        self.path = check_exists("data", path)
        self._attach()

    def _list(
        self, rows: Sequence[Row], class_names: Sequence[str], resolution: int | None, channels: int, split: str | None
    ) -> None:
        """Fill the table with the rows of a split."""
        self.split = split
        self.numbers = rows_of_split(rows, split)
        super().__init__([rows[i] for i in self.numbers], class_names, resolution, channels)

    def _attach(self) -> None:
        self._handle = Handle.of(self._file(), type(self).opener)
        self.close = closing_with(self, self._handle)

    def _file(self) -> Path:
        """The file that is opened."""
        return self.path

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_handle", "close")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._attach()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def resource(self) -> Any:
        """What is open, in this very process."""
        check(self.close.alive, "data", "be open", f"{self.path}, which was closed", "open it again")
        return self._handle.resource

    @abstractmethod
    def picture(self, index: int) -> Image.Image:
        """A case's image as "L" or "RGB" picture."""

    def __getitem__(self, index: int) -> Case:
        row = self.rows[index]
        image = to_unit(self._pixels_of(index))
        meta = {name: getattr(row, name) for name in OPTIONAL if getattr(row, name) is not None}
        return Case(image, None if row.label < 0 else row.label, row.id, row.group, meta=meta)

    def _pixels_of(self, index: int) -> Tensor:
        return from_picture(to_channels(self.picture(index), self.channels))

    def pixels(self, indices: Sequence[int] | None = None, workers: int = 2) -> Tensor:
        """Decode many images in one go, for training in memory.

        Args:
            indices: which cases; all of them by default.
            workers: threads that decode.

        Returns:
            uint8, shape (N, C, resolution, resolution).

        Raises:
            InputError: if the file was closed, or its images are not square and of one size.
        """
        check(bool(self.resolution), "data", "hold square images of one size", self.path, "prepare it first")
        places = range(len(self)) if indices is None else [int(index) for index in indices]
        shape = (self.channels, self.resolution, self.resolution)
        result = torch.empty(len(places), *shape, dtype=torch.uint8)

        def decode(row: int, place: int) -> None:
            pixels = self._pixels_of(place)
            id, side = self.rows[place].id, f"{self.resolution} pixels wide and high"
            check(pixels.shape == shape, "data", f"hold images {side}", f"{id} with {tuple(pixels.shape)}")
            result[row] = pixels

        _ = self.resource  # opened here, before threads race for it
        if len(places) < 2 * workers:
            for row, place in enumerate(places):
                decode(row, place)
            return result
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(decode, range(len(places)), places))
        return result
