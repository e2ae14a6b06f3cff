"""DICOM images as 8-bit pictures: rescaled to physical values, windowed, white on black."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image

from histoxplain._optional import require

if TYPE_CHECKING:
    from pydicom import Dataset

SUFFIXES = frozenset({".dcm", ".dicom"})


def is_dicom(name: str | PurePath) -> bool:
    """Whether a file name promises DICOM.

    Example:
        >>> is_dicom("stage_2_train_images/0004cfab.dcm"), is_dicom("a.png")
        (True, False)
    """
    return PurePath(name).suffix.lower() in SUFFIXES


def read_dicom(file: Path | BinaryIO) -> Image.Image:
    """The first frame of a DICOM file as "L" or "RGB" picture.

    Grey values are rescaled by slope and intercept, then windowed by the first window of the file (PS3.3 C.11.2.1.2).
    Without a window, 8-bit files are taken as they are and others from their smallest to their largest value.
    MONOCHROME1 is inverted, so that dense tissue is bright.

    Raises:
        ImportError: if pydicom is not installed.
        Exception: whatever pydicom says of a damaged file.
    """
    require("pydicom", extra="dicom")
    from pydicom import dcmread
    from pydicom.pixels import apply_color_lut, apply_rescale, pixel_array

    dataset = dcmread(file)
    pixels = pixel_array(dataset, index=0)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
    if pixels.ndim == 3:
        return Image.fromarray(to_bytes(pixels / (2 ** (8 * pixels.itemsize) - 1)))
    values = apply_rescale(pixels, dataset).astype(np.float64)
    share = window(values, dataset)
    return Image.fromarray(to_bytes(1 - share if dataset.PhotometricInterpretation == "MONOCHROME1" else share))


def window(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Grey values (H, W) as shares of white, in [0, 1]."""
    centre, width = (first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None:
        low, high = (0, 255) if dataset.BitsStored <= 8 and values.min() >= 0 else (values.min(), values.max())
    elif dataset.get("VOILUTFunction") == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - centre) / width))
    elif dataset.get("VOILUTFunction") == "LINEAR_EXACT":
        low, high = centre - width / 2, centre + width / 2
    else:
        low, high = centre - width / 2, centre + width / 2 - 1
    return np.clip((values - low) / max(high - low, 1e-6), 0, 1)


def first(value: object) -> float | None:
    """The first of one or several numbers; None if there is none.

    Example:
        >>> first([40, 80]), first(None)
        (40.0, None)
    """
    if value is None or value == "":
        return None
    return float(value[0] if isinstance(value, list | tuple) or hasattr(value, "insert") else value)


def to_bytes(share: np.ndarray) -> np.ndarray:
    """Shares of white in [0, 1] as uint8."""
    return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)
