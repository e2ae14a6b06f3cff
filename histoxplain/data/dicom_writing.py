"""Synthetic images as DICOM secondary capture that nobody can take for a patient's: pixels and tags say so."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from histoxplain import __version__
from histoxplain._atomic import replacing
from histoxplain._checks import check
from histoxplain._optional import require
from histoxplain.data.transforms import from_picture, to_picture

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont
    from PIL.ImageFont import ImageFont as BitmapFont
    from pydicom import Dataset

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
WARNING = "SYNTHETIC, not an image of a patient"
_SMALLEST_TYPE = 9


def new_uid() -> str:
    """A globally unique identifier that says nothing about anybody (2.25 and a random UUID).

    Raises:
        ImportError: if pydicom is not installed.
    """
    require("pydicom", extra="dicom")
    from pydicom.uid import generate_uid

    return generate_uid(prefix=None)


def write_synthetic(
    path: str | Path,
    u8: Tensor,
    title: str,
    description: str,
    *,
    pixel_spacing: tuple[float, float] | None = None,
    study: str | None = None,
    series: str | None = None,
    number: int = 1,
) -> Path:
    """Write an image as DICOM secondary capture that says it is synthetic.

    A strip above the image says so in its pixels, covering none of them; the tags say it again. No field of any patient
    is filled, and every identifier is new.

    Args:
        path: the file; it appears whole or not at all.
        u8: uint8, shape (C, H, W), C = 1 or 3.
        title: what it shows, in a few words: stands in the strip and names the series.
        description: how it was derived, in a sentence or two, at most 1,024 characters.
        pixel_spacing: distance of rows and of columns in mm, if known.
        study: identifier that images of one study share; by default a new one.
        series: identifier that images of one series share; by default a new one.
        number: of the image in its series.

    Raises:
        ImportError: if pydicom is not installed.
        InputError: if `u8` is no image, or the description is too long.
    """
    require("pydicom", extra="dicom")
    check(len(description) <= 1024, "description", "have at most 1,024 characters", len(description), "shorten it")
    path = Path(path)
    dataset = _describe(title, description, study or new_uid(), series or new_uid(), number)
    _put_pixels(dataset, with_strip(u8, [WARNING, title]), pixel_spacing)
    with replacing(path) as part:
        dataset.save_as(part, enforce_file_format=True)
    return path


def _describe(title: str, description: str, study: str, series: str, number: int) -> Dataset:
    """All tags but those of the pixels."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SECONDARY_CAPTURE
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = new_uid()
    for empty in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        setattr(dataset, empty, "")
    dataset.ReferringPhysicianName = dataset.AccessionNumber = dataset.PatientOrientation = dataset.Laterality = ""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.SeriesNumber, dataset.InstanceNumber = 1, number
    dataset.Modality, dataset.ConversionType = "OT", "SYN"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.DerivationDescription = description
    dataset.SeriesDescription = f"SYNTHETIC: {title}"[:64]
    dataset.ImageComments = f"{WARNING}. For research only, not for diagnosis."
    dataset.BurnedInAnnotation = "YES"
    dataset.PatientIdentityRemoved, dataset.DeidentificationMethod = "YES", "No data of a patient were copied."
    dataset.Manufacturer, dataset.SoftwareVersions = "histoxplain", __version__
    return dataset


def _put_pixels(dataset: Dataset, u8: Tensor, pixel_spacing: tuple[float, float] | None) -> None:
    channels, dataset.Rows, dataset.Columns = u8.shape
    dataset.SamplesPerPixel = channels
    dataset.PhotometricInterpretation = "MONOCHROME2" if channels == 1 else "RGB"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    if channels == 1:
        dataset.WindowCenter, dataset.WindowWidth = 128, 256  # shades as they are
    else:
        dataset.PlanarConfiguration = 0
    if pixel_spacing is not None:
        dataset.PixelSpacing = [f"{mm:.6g}" for mm in pixel_spacing]
    data = u8.permute(1, 2, 0).contiguous().numpy().tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)


def with_strip(u8: Tensor, lines: list[str]) -> Tensor:
    """An image with lines of text in white on black above it, broken where they are too long.

    Args:
        u8: uint8, shape (C, H, W), C = 1 or 3.
        lines: the text.

    Returns:
        uint8, shape (C, H + strip, W), wider where a word is: the image itself is untouched at the bottom left.
    """
    channels, rows, columns = u8.shape
    font = ImageFont.load_default(size=max(_SMALLEST_TYPE, columns // 28))
    text = [part for line in lines for part in _broken(line, columns - 4, font)]
    width, height = max(columns, *(math.ceil(font.getlength(part)) + 4 for part in text)), round(1.3 * font.size)
    sheet = Image.new("L" if channels == 1 else "RGB", (width, height * len(text) + 4 + rows))
    pen = ImageDraw.Draw(sheet)
    for i, part in enumerate(text):
        pen.text((2, 2 + i * height), part, fill="white", font=font)
    sheet.paste(to_picture(u8), (0, sheet.height - rows))
    return from_picture(sheet)


def _broken(line: str, width: int, font: FreeTypeFont | BitmapFont) -> list[str]:
    """The words of a line in as many parts as fit into `width` pixels."""
    parts: list[str] = []
    for word in line.split():
        longer = f"{parts[-1]} {word}" if parts else word
        if parts and font.getlength(longer) <= width:
            parts[-1] = longer
        else:
            parts.append(word)
    return parts
