"""A scan: values on a grid, and where the grid lies in the patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from histoxplain._checks import check

MISSING = "it says where voxels lie in the patient; convert the scan anew with a program that writes it"


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan whose axes run to the patient's right, front and head (RAS), as near as its grid allows.

    Raises:
        InputError: if the values have not three axes, or the affine is none.

    Example:
        >>> Volume(np.zeros((4, 5, 6)), np.diag([1.0, 1.0, 3.0, 1.0])).spacing
        (1.0, 1.0, 3.0)
    """

    values: np.ndarray
    """Shape (X, Y, Z): Hounsfield units of CT, or numbers of labels."""
    affine: np.ndarray
    """Shape (4, 4): from the place of a voxel to mm to the right, front and head."""
    name: str = "volume"
    labels: Mapping[int, str] = field(default_factory=dict)
    """Names of the numbers, where the file says them."""

    def __post_init__(self) -> None:
        check(
            self.values.ndim == 3, self.name, "have three axes", f"shape {self.values.shape}", "save one of its parts"
        )
        check_affine(self.affine, self.name)

    @classmethod
    def of_slices(
        cls, slices: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), name: str = "slices"
    ) -> Volume:
        """A volume of axial slices, as they are prepared: undoes `axial`.

        Args:
            slices: shape (Z, H, W), from the feet; front above, the patient's right to the left.
            spacing: mm between columns, rows and slices.
            name: what to call it.
        """
        check(np.ndim(slices) == 3, name, "have shape (Z, H, W)", np.shape(slices))
        return cls(np.asarray(slices).transpose(2, 1, 0)[::-1, ::-1], np.diag([*spacing, 1.0]), name)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distances of voxels in mm."""
        return tuple(float(mm) for mm in np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def depth(self) -> int:
        """How many axial slices it has."""
        return self.values.shape[2]

    def axial(self, index: int) -> np.ndarray:
        """An axial slice (H, W) as radiologists look at it: front above, the patient's right to the left.

        Args:
            index: 0 is nearest to the feet.
        """
        return self.values[::-1, ::-1, index].T

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest mm to the right, front and head that its voxels reach, (3,) each."""
        ends = np.array([[-0.5, n - 0.5] for n in self.values.shape])
        corners = np.array(np.meshgrid(*ends)).reshape(3, -1)
        places = self.affine[:3, :3] @ corners + self.affine[:3, 3:]
        return places.min(1), places.max(1)


def check_affine(affine: np.ndarray, name: str) -> None:
    """It must be a finite (4, 4) that maps three axes to three directions."""
    affine = np.asarray(affine)
    fine = affine.shape == (4, 4) and np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-9
    check(
        fine,
        name,
        "have an affine of three directions",
        np.array2string(affine, precision=3).replace("\n", ""),
        MISSING,
    )


def upright(
    values: np.ndarray, affine: np.ndarray, name: str = "volume", labels: Mapping[int, str] | None = None
) -> Volume:
    """Swap and flip axes until they run to the right, front and head; nothing is interpolated.

    Args:
        values: shape (X, Y, Z), in any orientation.
        affine: shape (4, 4), from voxels to mm to the patient's right, front and head.
        name: what to call it.
        labels: names of numbers.

    Raises:
        InputError: if the values have not three axes, or the affine is none.

    Example:
        >>> towards_the_left = np.diag([-1.0, 1.0, 1.0, 1.0])
        >>> upright(np.arange(3.0).reshape(3, 1, 1), towards_the_left).values.ravel().tolist()
        [2.0, 1.0, 0.0]
    """
    raw = Volume(values, np.asarray(affine, dtype=np.float64), name)
    cosines = raw.affine[:3, :3] / np.linalg.norm(raw.affine[:3, :3], axis=0)
    axes = nearest_axes(cosines)
    turned = np.eye(4)
    turned[:3] = raw.affine[:3, [*axes, 3]]
    values = np.transpose(values, axes)
    for axis, source in enumerate(axes):
        if cosines[axis, source] < 0:
            values = np.flip(values, axis)
            turned[:3, 3] += turned[:3, axis] * (values.shape[axis] - 1)
            turned[:3, axis] *= -1
    return Volume(values, turned, name, labels or {})


def nearest_axes(cosines: np.ndarray) -> list[int]:
    """Which axis of the grid runs to the right, which to the front, which to the head: the clearest is taken first."""
    left, axes = np.abs(cosines).astype(float), [0, 0, 0]
    for _ in range(3):
        direction, axis = np.unravel_index(np.argmax(left), left.shape)
        axes[direction] = int(axis)
        left[direction, :], left[:, axis] = -1, -1
    return axes
