"""DICOM series as volumes: slices in the order of their places, rescaled to physical values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from histoxplain._checks import InputError, check, check_exists
from histoxplain.data.dicom import DicomError, decode, holds_dicom, open_dicom
from histoxplain.data.volumes.volume import MISSING, Volume, upright

if TYPE_CHECKING:
    from pydicom import Dataset

PLACES = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
UNEVEN = 0.05
"""By which share of their distance slices may be out of place."""


def dicom_files(folder: Path) -> list[Path]:
    """The DICOM files that lie in a folder, in alphabetical order."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    return [file for file in files if holds_dicom(file)]


def read_series(folder: str | Path) -> Volume:
    """A folder with the slices of one DICOM series, upright.

    Slices are sorted by ImagePositionPatient, whatever their names and numbers, and rescaled by slope and intercept.

    Raises:
        ImportError: if pydicom is not installed.
        InputError: if the folder holds no series or several, a slice is missing, twice there or damaged, or the files
            do not say where they lie.
    """
    folder = check_exists("volume", folder)
    datasets = [open_file(file) for file in dicom_files(folder)]
    check(len(datasets) > 1, "volume", "be a folder with a DICOM series", f"{folder} with {len(datasets)} slices")
    series = {str(dataset.get("SeriesInstanceUID")) for dataset in datasets}
    way_out = "put each into a folder of its own"
    check(len(series) == 1, "volume", "be one DICOM series", f"{folder} with {len(series)} of them", way_out)
    for dataset, name in ((dataset, name) for dataset in datasets for name in PLACES):
        check(dataset.get(name) is not None, "volume", "have an affine", f"{folder} without {name}", MISSING)
    across, down = np.array(datasets[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    normal = np.cross(across, down)
    datasets.sort(key=lambda dataset: float(normal @ np.array(dataset.ImagePositionPatient, dtype=float)))
    values = np.stack([physical(dataset, folder) for dataset in datasets])
    return upright(values.transpose(2, 1, 0), affine_of(datasets, across, down, normal, folder), folder.name)


def open_file(file: Path) -> Dataset:
    """One DICOM file.

    Raises:
        InputError: if it is damaged.
    """
    try:
        return open_dicom(file)
    except (DicomError, OSError, ValueError) as error:
        raise InputError(f"`volume` must hold readable DICOM, got {file} ({error}).") from error


def physical(dataset: Dataset, folder: Path) -> np.ndarray:
    """Rescaled values (H, W) of a slice."""
    from pydicom.pixels import apply_modality_lut

    try:
        pixels = decode(dataset)
    except DicomError as error:
        raise InputError(f"`volume` must hold readable slices, got {folder} ({error}).") from error
    check(pixels.ndim == 2, "volume", "hold grey slices", f"{folder} with pixels {pixels.shape}")
    return np.asarray(apply_modality_lut(pixels, dataset), dtype=np.float32)


def affine_of(
    datasets: Sequence[Dataset], across: np.ndarray, down: np.ndarray, normal: np.ndarray, folder: Path
) -> np.ndarray:
    """From column, row and slice to mm to the right, front and head; DICOM counts to the left and the back.

    Raises:
        InputError: if slices are not evenly spaced, or of several sizes or directions.
    """
    looks = {(d.Rows, d.Columns, *np.round([*d.ImageOrientationPatient, *d.PixelSpacing], 3)) for d in datasets}
    check(len(looks) == 1, "volume", "have slices of one size and direction", f"{folder} with {len(looks)} kinds")
    places = np.array([dataset.ImagePositionPatient for dataset in datasets], dtype=float)
    steps = np.diff(places @ normal)
    even = np.abs(steps - np.median(steps)).max() <= UNEVEN * np.median(steps) and np.median(steps) > 0
    got = f"{folder} with distances of {steps.min():g} to {steps.max():g} mm"
    check(bool(even), "volume", "have evenly spaced slices", got, "a slice is missing or twice there")
    between_rows, between_columns = (float(mm) for mm in datasets[0].PixelSpacing)
    affine = np.eye(4)
    step = (places[-1] - places[0]) / (len(places) - 1)
    affine[:3] = np.stack([across * between_columns, down * between_rows, step, places[0]], 1)
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
