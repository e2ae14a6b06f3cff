"""What to write, and how: checked before any image is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from histoxplain._checks import check_at_least
from histoxplain.data.formats import WRITERS, check_destination, choose_format
from histoxplain.data.splits import check_fractions

FRACTIONS = (0.7, 0.15, 0.15)
"""Shares of train, validation and test, where no split was published."""


@dataclass(frozen=True)
class Order:
    """What to write, and how; see `prepare`.

    Raises:
        InputError: if an argument is wrong, or the destination exists.
    """

    destination: str | Path
    resolution: int = 64
    format: str | None = None
    fractions: Sequence[float] | None = None
    seed: int = 0
    channels: int | None = None
    overwrite: bool = False
    workers: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        WRITERS[self.kind].check_resolution(self.resolution)
        check_fractions(FRACTIONS if self.fractions is None else self.fractions)
        check_at_least("workers", self.threads, 1)
        check_destination(self.destination, self.overwrite, self.kind)

    @property
    def kind(self) -> str:
        """The format to write."""
        return choose_format(Path(self.destination), self.format)

    @property
    def keeps_masks(self) -> bool:
        """Whether the format has a place for masks."""
        return hasattr(WRITERS[self.kind], "put_mask")

    @property
    def threads(self) -> int:
        """Threads that read."""
        return (os.cpu_count() or 1) if self.workers is None else self.workers
