"""A volume and its mask as axial slices on one grid."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from histoxplain._checks import check
from histoxplain.data.volumes.greys import Greys
from histoxplain.data.volumes.grid import SliceGrid, resample
from histoxplain.data.volumes.volume import Volume


@dataclass(frozen=True, eq=False)
class Stack:
    """Axial slices of a volume, from the feet to the head."""

    name: str
    greys: np.ndarray
    """Shape (Z, R, R), float32 in [-1, 1]; front above, the patient's right to the left."""
    organ: np.ndarray | None
    """Shape (Z, R, R), boolean; None where there is no mask."""
    pixel: float
    """Side of a pixel, in mm."""
    prints: tuple[str | None, ...]
    """Of the nearest slice of the file each, the same for the same voxels; None where they are all alike."""


def cut(
    volume: Volume, grid: SliceGrid, greys: Greys, mask: Volume | None = None, numbers: tuple[int, ...] = ()
) -> Stack:
    """Resample a volume and its mask, and turn values into greys.

    Args:
        volume: the scan.
        grid: of the slices.
        greys: what becomes black and white.
        mask: its labels, on any grid that covers the same place.
        numbers: of the labels that count; by default all but 0.

    Raises:
        InputError: if the mask covers another place.
    """
    values = greys.of_volume(volume.values)(resample(volume, grid))
    organ = None
    if mask is not None:
        check_place(volume, mask)
        wanted = np.isin(mask.values, numbers) if numbers else mask.values != 0
        organ = resample(Volume(wanted, mask.affine, mask.name), grid, order=0).astype(bool)
    first, step = volume.affine[2, 3], volume.spacing[2]
    nearest = np.clip(np.rint((np.array(grid.heights) - first) / step).astype(int), 0, volume.depth - 1)
    prints = [fingerprint(volume.values[:, :, z]) for z in range(volume.depth)]
    return Stack(volume.name, values, organ, grid.pixel, tuple(prints[z] for z in nearest))


def check_place(volume: Volume, mask: Volume) -> None:
    """A mask must cover the same place as its volume, to within a voxel; how its axes run does not matter."""
    boxes = [np.concatenate(one.box()) for one in (volume, mask)]
    near = np.abs(boxes[0] - boxes[1]) <= 1.01 * np.tile(np.maximum(volume.spacing, mask.spacing), 2)
    texts = [" ".join(f"{low:.0f}..{high:.0f}" for low, high in box.reshape(2, 3).T) + " mm" for box in boxes]
    shapes = " x ".join(map(str, mask.values.shape))
    got = f"{mask.name} ({shapes}) at {texts[1]}"
    check(bool(near.all()), "masks", f"cover the place of {volume.name}, {texts[0]}", got, "is it of another scan?")


def fingerprint(values: np.ndarray) -> str | None:
    """Of the voxels of a slice; None where they are all alike."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    return None if (values == values.flat[0]).all() else sha256(values.tobytes()).hexdigest()
