"""One door to volumes: a NIfTI file, or a folder with a DICOM series."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from histoxplain._checks import check, check_exists
from histoxplain.data.dicom import holds_dicom
from histoxplain.data.volumes.nifti import ENDINGS, is_nifti, read_nifti
from histoxplain.data.volumes.series import open_file, read_series
from histoxplain.data.volumes.volume import Volume


def read_volume(path: str | Path) -> Volume:
    """Read a scan and turn its axes to the patient's right, front and head.

    Args:
        path: a NIfTI file, or a folder with the files of one DICOM series.

    Raises:
        ImportError: if nibabel, or pydicom, is not installed.
        InputError: if it is no volume, is damaged, or does not say where it lies in the patient.
    """
    path = check_exists("volume", path)
    rule = f"be a NIfTI file ({' or '.join(ENDINGS)}) or a folder with a DICOM series"
    check(path.is_dir() or is_nifti(path), "volume", rule, path)
    return read_series(path) if path.is_dir() else read_nifti(path)


def is_volume(path: str | Path) -> bool:
    """Whether a path promises a volume: NIfTI by its name, a DICOM series by the first two files of a flat folder."""
    path = Path(path)
    if not path.is_dir():
        return is_nifti(path)
    files = sorted(file for file in path.iterdir() if not file.name.startswith("."))
    if len(files) < 2 or any(file.is_dir() for file in files) or not all(map(holds_dicom, islice(files, 2))):
        return False
    first, second = map(open_file, files[:2])
    told = all(dataset.get("ImagePositionPatient") is not None for dataset in (first, second))
    return told and first.get("SeriesInstanceUID") == second.get("SeriesInstanceUID")
