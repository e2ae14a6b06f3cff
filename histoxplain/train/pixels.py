"""Labelled images of one split, in memory where they fit, as batches of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from histoxplain._checks import check
from histoxplain.data.splits import split_groups
from histoxplain.data.transforms import square, to_uint8, to_unit

if TYPE_CHECKING:
    from histoxplain.data.source import Source

IN_MEMORY = 4 << 30
"""Splits of at most this many bytes are decoded once and kept; larger ones are decoded batch by batch."""


class LabelledPixels:
    """Some labelled cases of a source.

    Args:
        source: prepared data, or an image folder (whose images are cropped square and resized).
        indices: which of its cases.
        resolution: side to which images of mixed sizes are brought.
    """

    def __init__(self, source: Source, indices: Sequence[int], resolution: int) -> None:
        self.source = source
        self.indices = list(indices)
        self.resolution = source.resolution or resolution
        self.labels = torch.from_numpy(source.labels[self.indices])
        size = len(self.indices) * source.channels * self.resolution**2
        self._kept = self._read(range(len(self.indices))) if size <= IN_MEMORY else None

    def __len__(self) -> int:
        return len(self.indices)

    def _read(self, places: Sequence[int]) -> Tensor:
        numbers = [self.indices[place] for place in places]
        if not numbers:
            return torch.empty(0, self.source.channels, self.resolution, self.resolution, dtype=torch.uint8)
        if hasattr(self.source, "pixels") and self.source.resolution:
            return self.source.pixels(numbers)
        return torch.stack([square(to_uint8(self.source[number].image), self.resolution) for number in numbers])

    def batch(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Images `(N, C, R, R)`, float in `[-1, 1]`, and labels `(N,)`, of the given places in this split."""
        pixels = self._kept[places] if self._kept is not None else self._read(places.tolist())
        return to_unit(pixels), self.labels[places]


def labelled_splits(source: Source, resolution: int = 128, seed: int = 0) -> dict[str, LabelledPixels]:
    """The labelled cases of each split: the source's own splits, or group-aware ones drawn now.

    Args:
        source: all of the data.
        resolution: side to which images of mixed sizes are brought.
        seed: of the split, where the source has none.

    Returns:
        "train", "validation" and "test".

    Raises:
        InputError: if train or validation have no labelled image, or some class none to train on.
    """
    labels = source.labels
    splits = np.array([split or "" for split in source.splits])
    if not splits.any():
        splits = np.array(split_groups(labels, source.groups, seed=seed))
    found = {
        name: LabelledPixels(source, np.flatnonzero((splits == name) & (labels >= 0)).tolist(), resolution)
        for name in ("train", "validation", "test")
    }
    for name in ("train", "validation"):
        check(len(found[name]) > 0, "data", f"have labelled images in its {name} split", 0, "use more images or groups")
    missing = sorted(set(range(len(source.class_names))) - set(found["train"].labels.tolist()))
    names = ", ".join(source.class_names[k] for k in missing)
    check(not missing, "data", "have images to train on in every class", f"none for {names}", "add some")
    return found
