"""NIfTI volumes, and the names of labels that some programs write into them."""

from __future__ import annotations

import re
import zlib
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from histoxplain._checks import InputError, check, check_exists
from histoxplain._optional import require
from histoxplain.data.volumes.volume import MISSING, Volume, upright

ENDINGS = (".nii", ".nii.gz")
LABEL = re.compile(r'<Label\s[^>]*Key="(\d+)"[^>]*>\s*<!\[CDATA\[(.*?)\]\]>', re.DOTALL)
"""An entry of the label table that Connectome Workbench and TotalSegmentator write into an extension."""


def is_nifti(name: str | PurePath) -> bool:
    """Whether a file name promises NIfTI.

    Example:
        >>> is_nifti("liver.nii.gz"), is_nifti("liver.png")
        (True, False)
    """
    return PurePath(name).name.lower().endswith(ENDINGS)


def read_nifti(path: str | Path) -> Volume:
    """A NIfTI file, upright.

    Values are rescaled by slope and intercept; what is no number counts as the smallest value.

    Raises:
        ImportError: if nibabel is not installed.
        InputError: if the file is missing, damaged, has no affine, or holds several volumes.
    """
    path = check_exists("volume", path)
    nibabel = require("nibabel", extra="nifti")
    try:
        image = nibabel.load(path)
        values = np.asanyarray(image.dataobj)
    except (nibabel.filebasedimages.ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(f"`volume` must be a readable NIfTI file, got {path} ({reason}).") from error
    codes = [int(image.header[name]) for name in ("qform_code", "sform_code")]
    check(any(codes), "volume", "have an affine", f"{path} with qform and sform of code 0", MISSING)
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        values = np.where(np.isfinite(values), values, values[np.isfinite(values)].min(initial=0))
    return upright(values, image.affine, stem(path), label_names(image))


def stem(path: Path) -> str:
    """The name of a file without its endings.

    Example:
        >>> stem(Path("scans/liver.v2.nii.gz"))
        'liver.v2'
    """
    return re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)


def label_names(image: Any) -> dict[int, str]:
    """Names of labels by their numbers, where an extension of the file has them."""
    text = b"".join(extension.get_content() for extension in image.header.extensions if extension.get_code() == 0)
    return {int(number): name.strip() for number, name in LABEL.findall(text.decode("utf-8", "replace"))}
