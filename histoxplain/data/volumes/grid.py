"""The grid of square axial slices that all volumes of a data set are resampled to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from histoxplain._checks import check, check_at_least, check_one_of
from histoxplain.data.volumes.volume import Volume

CENTRES = ("scan", "body")
COARSE = 4.0
"""The body is looked for among voxels this many mm apart."""


@dataclass(frozen=True)
class SliceGrid:
    """Square axial slices of one volume, in the patient's directions.

    Args:
        resolution: side of the slices, in pixels.
        field: side of the slices, in mm.
        centre: of the slices, in mm to the right and to the front.
        heights: of the slices, in mm towards the head.
    """

    resolution: int
    field: float
    centre: tuple[float, float]
    heights: tuple[float, ...]

    def __post_init__(self) -> None:
        check_at_least("resolution", self.resolution, 1)
        check(self.field > 0, "field", "be above 0 mm", self.field)

    @classmethod
    def of(
        cls, volume: Volume, resolution: int, field: float, distance: float | None = None, centre: str = "scan"
    ) -> SliceGrid:
        """A grid around the middle of a volume, from its lowest slice to its highest.

        Args:
            volume: which volume.
            resolution: side of the slices, in pixels.
            field: side of the slices, in mm.
            distance: between slices, in mm; by default the volume's own slices stay.
            centre: "scan", the middle of what was scanned, or "body", that of the body in it, see `body_centre`.
        """
        check_one_of("centre", centre, CENTRES)
        low, high = volume.box()
        step = volume.spacing[2]
        first, last = low[2] + step / 2, high[2] - step / 2
        check(distance is None or distance > 0, "distance", "be above 0 mm", distance)
        count = volume.depth if distance is None else int((last - first) / distance + 1e-6) + 1
        heights = first + (step if distance is None else distance) * np.arange(count)
        middle = (low + high) / 2 if centre == "scan" else body_centre(volume)
        return cls(resolution, field, (float(middle[0]), float(middle[1])), tuple(map(float, heights)))

    @property
    def pixel(self) -> float:
        """Side of a pixel, in mm."""
        return self.field / self.resolution

    @property
    def affine(self) -> np.ndarray:
        """From column, row and number of a slice to mm to the right, front and head; front is above, right is left."""
        step = self.heights[1] - self.heights[0] if len(self.heights) > 1 else 1.0
        affine = np.diag([-self.pixel, -self.pixel, step, 1.0])
        affine[:3, 3] = *(c + self.field / 2 - self.pixel / 2 for c in self.centre), self.heights[0]
        return affine


def body_centre(volume: Volume) -> tuple[float, float]:
    """Where the body lies, in mm to the right and to the front: scanners do not always have it in their middle.

    The body is the largest part that hangs together of what is brighter than halfway from the darkest to the brightest
    voxels, their 0.5 % left out; its mean place counts.

    Example:
        >>> values = np.zeros((9, 9, 2))
        >>> values[5:8, 1:4] = 1
        >>> body_centre(Volume(values, np.diag([4.0, 4.0, 4.0, 1.0])))
        (24.0, 8.0)
    """
    steps = tuple(max(1, round(COARSE / mm)) for mm in volume.spacing)
    values = volume.values[tuple(slice(None, None, step) for step in steps)]
    dark, bright = np.percentile(values, (0.5, 99.5))
    parts, count = ndimage.label(values > (dark + bright) / 2)
    sizes = np.bincount(parts.ravel())[1:]
    body = parts == 1 + sizes.argmax() if count else np.ones_like(values, dtype=bool)
    voxel = np.argwhere(body).mean(0) * steps
    place = volume.affine[:3, :3] @ voxel + volume.affine[:3, 3]
    return float(place[0]), float(place[1])


def resample(volume: Volume, grid: SliceGrid, order: int = 1, outside: float | None = None) -> np.ndarray:
    """The values of a volume on a grid.

    Args:
        volume: the scan, or its labels.
        grid: where to read it.
        order: 1 for linear interpolation, after smoothing where the grid is coarser; 0 for the nearest voxel, as labels
            ask for.
        outside: beyond the volume; by default its smallest value, or 0 of labels.

    Returns:
        Shape (Z, H, W): front above, the patient's right to the left; float32, or the labels' type.

    Example:
        >>> scan = Volume(np.arange(8.0).reshape(2, 2, 2), np.eye(4))
        >>> resample(scan, SliceGrid(2, 2.0, (0.5, 0.5), (0.0, 1.0)))[0].tolist()
        [[6.0, 2.0], [4.0, 0.0]]
    """
    matrix = np.linalg.inv(volume.affine) @ grid.affine
    values = volume.values if order == 0 else volume.values.astype(np.float32)
    if outside is None:
        outside = float(values.min()) if order else 0
    if order:
        steps = np.abs(matrix[:3, :3]).sum(1)
        values = ndimage.gaussian_filter(values, np.maximum(0, (steps - 1) / 2), mode="nearest", truncate=3)
    shape = (grid.resolution, grid.resolution, len(grid.heights))
    found = ndimage.affine_transform(
        values, matrix[:3, :3], matrix[:3, 3], shape, order=order, mode="grid-constant", cval=outside
    )
    return found.transpose(2, 1, 0)
