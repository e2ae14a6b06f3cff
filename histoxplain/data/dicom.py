"""DICOM images as 8-bit pictures: rescaled to physical values, windowed, white on black.

Of everything else that such a file says, only the distance of its pixels is taken: who the patient is never leaves it.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image

from histoxplain._optional import require
from histoxplain.data.frames import bring_forward, choose_frame
from histoxplain.data.window import Window, choose_window, shares

if TYPE_CHECKING:
    from pydicom import Dataset

SUFFIXES = frozenset({".dcm", ".dicom"})
PREAMBLE = 132
"""Bytes that tell a DICOM file."""
SPACING = "pixel_spacing"
"""Where a picture's `info` keeps the distance of rows and of columns, in mm."""
WINDOW = "window"
"""Where a picture's `info` says how grey values became shades."""
_DECODERS = {
    "JPEG-LS": "pyjpegls",
    "JPEG 2000": "pylibjpeg pylibjpeg-openjpeg",
    "JPEG": "pylibjpeg pylibjpeg-libjpeg",
}
"""What decodes compressed pixels, by how the names of transfer syntaxes begin."""


class DicomError(ValueError):
    """A DICOM file that holds no image we can show; the message says why in a few words."""


def is_dicom(name: str | PurePath) -> bool:
    """Whether a file name promises DICOM.

    Example:
        >>> is_dicom("stage_2_train_images/0004cfab.dcm"), is_dicom("a.png")
        (True, False)
    """
    return PurePath(name).suffix.lower() in SUFFIXES


def may_be_dicom(name: str | PurePath) -> bool:
    """Whether a file is named as scanners name DICOM: without an ending, or with one that is a number, as UIDs have it.

    Example:
        >>> [may_be_dicom(name) for name in ("IM0001", "1.2.840.113619", "a.IMA", "a.txt", "DICOMDIR")]
        [True, True, True, False, False]
    """
    path = PurePath(name)
    ending = path.suffix.lower().removeprefix(".")
    return (ending in ("", "ima") or ending.isdigit()) and path.name.upper() != "DICOMDIR"


def begins_as_dicom(start: bytes) -> bool:
    """Whether the first `PREAMBLE` bytes of a file are those of DICOM: 128 of anything, then "DICM"."""
    return start[128:PREAMBLE] == b"DICM"


def holds_dicom(file: Path | BinaryIO) -> bool:
    """Whether a file begins as DICOM does; an open file is left at its start."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return holds_dicom(opened)
    file.seek(0)
    start = file.read(PREAMBLE)
    file.seek(0)
    return begins_as_dicom(start)


def read_dicom(file: Path | BinaryIO, window: Window = None, frame: int | None = None) -> Image.Image:
    """The image of a DICOM file as "L" or "RGB" picture.

    Stored values lose unused high bits and are rescaled by slope and intercept or the modality's table, then windowed
    (PS3.3 C.11.2): by the first window of the file unless another is asked for, else by its table of shades. Without
    either, 8-bit files are taken as they are and others from their smallest to their largest value, padding left out.
    MONOCHROME1, and a presentation table that says INVERSE, are inverted, so that dense tissue is bright.

    Args:
        file: the file.
        window: number of the file's window, from 1; or centre and width in rescaled values.
        frame: number of the frame, from 1, in a file of several.

    Returns:
        The picture. Its `info` has "pixel_spacing" (mm between rows, between columns) where the file says it, and
        "window", in words.

    Raises:
        ImportError: if pydicom is not installed.
        DicomError: if the file is no DICOM, holds no image, is damaged, or is compressed in a way that no installed
            decoder reads.
        ValueError: if it has no such window or frame, or several frames and none is named.
    """
    dataset = open_dicom(file)
    _check_image(dataset)
    place = choose_frame(dataset, frame)
    bring_forward(dataset, place)
    pixels = decode(dataset, place)
    picture, how = (_colours(pixels, dataset), "colours") if pixels.ndim == 3 else _greys(pixels, dataset, window)
    picture.info = {WINDOW: how}
    spacing = pixel_spacing(dataset)
    if spacing is not None:
        picture.info[SPACING] = spacing
    return picture


def open_dicom(file: Path | BinaryIO) -> Dataset:
    """What a DICOM file says.

    Raises:
        ImportError: if pydicom is not installed.
        DicomError: if it is no DICOM.
    """
    require("pydicom", extra="dicom")
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        return dcmread(file)
    except InvalidDicomError as error:
        raise DicomError("not a DICOM file") from error


def _check_image(dataset: Dataset) -> None:
    kept = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
    if "Rows" not in dataset or not any(name in dataset for name in kept):
        what = dataset.get("SOPClassUID")
        raise DicomError(f"holds no image, but {getattr(what, 'name', None) or 'something of unknown kind'}")


def decode(dataset: Dataset, place: int = 0) -> np.ndarray:
    """Stored values `(H, W)` or colours `(H, W, 3)` of a frame, counted from 0.

    Raises:
        DicomError: if the pixels are damaged, or compressed in a way that no installed decoder reads.
    """
    from pydicom.pixels import pixel_array

    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        raise DicomError("does not say how its pixels are stored (TransferSyntaxUID)")
    if syntax.is_compressed and not _can_decode(syntax):
        package = next((name for start, name in _DECODERS.items() if syntax.name.startswith(start)), "pylibjpeg")
        raise DicomError(f"compressed as {syntax.name}, which no installed decoder reads: pip install {package}")
    try:
        pixels = pixel_array(dataset, index=place)
    except Exception as error:  # decoders raise anything on damaged pixels
        reason = str(error).partition("\n")[0].rstrip(".:") or type(error).__name__
        raise DicomError(f"damaged pixels, or stored as no installed decoder reads them ({reason})") from error
    return pixels


def _can_decode(syntax: Any) -> bool:
    from pydicom.pixels import get_decoder

    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _colours(pixels: np.ndarray, dataset: Dataset) -> Image.Image:
    return Image.fromarray(_to_bytes(pixels / (2 ** int(dataset.BitsStored) - 1)))


def _greys(pixels: np.ndarray, dataset: Dataset, window: Window) -> tuple[Image.Image, str]:
    """Grey values as a picture, and how they became shades; palettes become colours."""
    from pydicom.pixels import apply_color_lut, apply_modality_lut

    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(pixels, dataset)
        return Image.fromarray(_to_bytes(colours / (2 ** (8 * colours.itemsize) - 1))), "palette"
    stored = _used_bits(pixels, dataset)
    values = np.asarray(apply_modality_lut(stored, dataset))
    padding = _padding(stored, dataset)
    share, how = shares(values, dataset, choose_window(dataset, window), padding)
    inverse = dataset.PhotometricInterpretation == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE"
    share = np.where(padding, 0.0, 1 - share if inverse else share)
    return Image.fromarray(_to_bytes(share)), how


def _used_bits(pixels: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Stored values without what stands in unused high bits, overlays for example."""
    if pixels.dtype.kind not in "iu":
        return pixels
    unused = 8 * pixels.itemsize - int(dataset.BitsStored)
    return np.right_shift(np.left_shift(pixels, unused), unused) if unused > 0 else pixels


def _padding(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Which pixels only fill the rectangle, boolean `(H, W)`."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=bool)
    limit = dataset.get("PixelPaddingRangeLimit", value)
    low, high = sorted((int(value), int(limit)))
    return (stored >= low) & (stored <= high)


def pixel_spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Distance of rows and of columns in mm, in the patient or, failing that, at the detector; None if not said."""
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        value = dataset.get(name)
        if value is not None and len(value) == 2 and min(map(float, value)) > 0:
            return float(value[0]), float(value[1])
    return None


def _to_bytes(share: np.ndarray) -> np.ndarray:
    """Shares of white in [0, 1] as uint8."""
    return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)
