"""Pixels at the doors: files to uint8, uint8 to the library's [-1, 1], any image to a square."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from histoxplain._checks import InputError, check, check_at_least, check_exists, check_one_of
from histoxplain.data.dicom import holds_dicom, is_dicom, read_dicom
from histoxplain.data.window import Window

FILTER = "lanczos"
"""The one resampling filter of prepared images: Pillow's antialiased Lanczos with three lobes."""
SMALLEST_SIDE = 8
"""Images with a shorter side than this hold no tissue and are refused."""
WHITE_16_BIT = 65535


def to_unit(u8: Tensor) -> Tensor:
    """`uint8` pixels as float32 in [-1, 1]: `u / 127.5 - 1`, any shape.

    Example:
        >>> to_unit(torch.tensor([0, 255], dtype=torch.uint8)).tolist()
        [-1.0, 1.0]
    """
    check(u8.dtype == torch.uint8, "u8", "be uint8", u8.dtype, "float images are already in [-1, 1]")
    return u8.float() / 127.5 - 1


def to_uint8(x: Tensor) -> Tensor:
    """Float images in [-1, 1] as `uint8`: `x * 127.5 + 128`, clamped, truncated; any shape. Undoes `to_unit`.

    Example:
        >>> to_uint8(torch.tensor([-1.2, 0.0, 1.0])).tolist()
        [0, 128, 255]
    """
    check(x.is_floating_point(), "x", "be floating point in [-1, 1]", x.dtype, "uint8 images need no conversion")
    return (x.float() * 127.5 + 128).clamp(0, 255).to(torch.uint8)


class UnreadableImageError(InputError):
    """A file that cannot be used as an image; `reason` says why in a few words."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"`image` must be a readable image, got {path} ({reason}).")
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple[type, tuple[str | Path, str]]:
        return type(self), (self.path, self.reason)


def open_picture(
    path: str | Path, white: int = WHITE_16_BIT, window: Window = None, frame: int | None = None
) -> Image.Image:
    """Open an image file as upright 8-bit grey ("L") or colour ("RGB"), whatever its mode.

    EXIF rotation is applied, transparency is laid over white, palettes and CMYK become RGB, 16-bit grey is scaled so
    that `white` becomes 255. Of several frames the first counts; of DICOM, `frame` must name one, from 1. Of DICOM,
    `window` says what becomes black and white, and the picture's `info` has "pixel_spacing" and "window"; see
    `histoxplain.data.dicom.read_dicom`.

    Raises:
        UnreadableImageError: if the file is no image, is cut off, has a side below `SMALLEST_SIDE`, or holds
            floating-point pixels, which have no known white.
    """
    return decode_picture(check_exists("image", path), path, white, window, frame)


def decode_picture(
    file: Path | BinaryIO,
    name: str | Path,
    white: int = WHITE_16_BIT,
    window: Window = None,
    frame: int | None = None,
) -> Image.Image:
    """What `open_picture` does, for an open file as well; `name` is what to call it.

    DICOM is told by the ending of its name, or by its first bytes where it is no other image.

    Raises:
        UnreadableImageError: as `open_picture`.
        ImportError: if the file is DICOM and pydicom is not installed.
    """
    try:
        if is_dicom(name):
            return large_enough(read_dicom(file, window, frame), name)
        with Image.open(file) as picture:
            return to_8_bit(ImageOps.exif_transpose(large_enough(picture, name)), white)
    except (UnreadableImageError, ImportError):
        raise
    except Exception as error:  # decoders raise anything on damaged files: OSError, SyntaxError, struct.error, ...
        if isinstance(error, UnidentifiedImageError) and not is_dicom(name) and holds_dicom(file):
            return decode_unnamed_dicom(file, name, window, frame)
        raise UnreadableImageError(name, complaint(error, file)) from error


def decode_unnamed_dicom(file: Path | BinaryIO, name: str | Path, window: Window, frame: int | None) -> Image.Image:
    """What `decode_picture` does for DICOM whose name does not say so, as scanners export it."""
    try:
        return large_enough(read_dicom(file, window, frame), name)
    except ValueError as error:
        raise UnreadableImageError(name, complaint(error, file)) from error


def large_enough(picture: Image.Image, name: str | Path) -> Image.Image:
    """The picture, unless a side is below `SMALLEST_SIDE`."""
    if min(picture.size) < SMALLEST_SIDE:
        size = f"{picture.width}x{picture.height} pixels"
        raise UnreadableImageError(name, f"{size}, each side must have at least {SMALLEST_SIDE}")
    return picture


def complaint(error: Exception, file: Path | BinaryIO) -> str:
    """What is wrong with an image file, in a few words.

    Example:
        >>> complaint(OSError("image file is truncated (7 bytes not processed)"), Path("a.jpg"))
        'image file is truncated (7 bytes not processed)'
    """
    if isinstance(error, UnidentifiedImageError):
        size = file.stat().st_size if isinstance(file, Path) else file.seek(0, 2)
        return "the file is empty" if size == 0 else "not an image in a known format"
    if isinstance(error, IsADirectoryError):
        return "this is a folder"
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__


def to_8_bit(picture: Image.Image, white: int = WHITE_16_BIT) -> Image.Image:
    """Any Pillow image as mode "L" or "RGB".

    Args:
        picture: in any mode but 32-bit floating point, which has no known white.
        white: the value of white in 16-bit files.
    """
    mode = picture.mode
    if mode in ("L", "RGB"):
        return picture.convert(mode)
    if mode.startswith("I"):
        return Image.fromarray(scale_to_8_bit(np.asarray(picture), white))
    if mode == "F":
        raise ValueError("floating-point pixels, save it with 8 or 16 bits")
    if mode in ("LA", "La"):
        return over_white(picture.convert("LA"), "L")
    if mode in ("RGBA", "RGBa", "PA") or "transparency" in picture.info:
        return over_white(picture.convert("RGBA"), "RGB")
    return picture.convert("L" if mode == "1" else "RGB")


def scale_to_8_bit(values: np.ndarray, white: int) -> np.ndarray:
    """Integer pixels 0..`white` as uint8 0..255, rounded.

    Example:
        >>> scale_to_8_bit(np.array([0, 257, 65535]), white=65535).tolist()
        [0, 1, 255]
    """
    return np.clip(np.rint(values.astype(np.float64) * (255 / white)), 0, 255).astype(np.uint8)


def over_white(picture: Image.Image, mode: str) -> Image.Image:
    """Lay a picture with an alpha channel over a white ground."""
    ground = Image.new(mode, picture.size, "white")
    ground.paste(picture.convert(mode), mask=picture.getchannel("A"))
    return ground


def square_picture(
    picture: Image.Image, resolution: int, filter: Image.Resampling = Image.Resampling.LANCZOS
) -> Image.Image:
    """Crop the central square and resize it to `resolution` pixels."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    cropped = picture.crop((left, top, left + side, top + side))
    return cropped.resize((resolution, resolution), filter)


def to_channels(picture: Image.Image, channels: int) -> Image.Image:
    """An 8-bit picture as grey (1) or RGB (3)."""
    check_one_of("channels", channels, (1, 3))
    return picture.convert("L" if channels == 1 else "RGB")


def from_picture(picture: Image.Image) -> Tensor:
    """An "L" or "RGB" picture as uint8 tensor (C, H, W)."""
    pixels = torch.from_numpy(np.array(picture))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()


def to_picture(u8: Tensor) -> Image.Image:
    """A uint8 tensor (C, H, W) with 1 or 3 channels as "L" or "RGB" picture."""
    check(u8.ndim == 3 and u8.shape[0] in (1, 3), "u8", "have shape (1 or 3, H, W)", tuple(u8.shape))
    check(u8.dtype == torch.uint8, "u8", "be uint8", u8.dtype, "use `to_uint8` on float images")
    return Image.fromarray(u8[0].numpy() if u8.shape[0] == 1 else u8.permute(1, 2, 0).numpy())


def read_image(
    path: str | Path,
    channels: int = 3,
    white: int = WHITE_16_BIT,
    window: Window = None,
    frame: int | None = None,
) -> Tensor:
    """Read an image file at its own size; see `open_picture` for what is done with odd modes.

    Args:
        path: the file.
        channels: 1 for grey, 3 for RGB.
        white: the value of white in 16-bit files.
        window: of DICOM; the number of the file's window, from 1, or centre and width.
        frame: of DICOM of several frames; the number of one, from 1.

    Returns:
        uint8, shape (channels, H, W).

    Raises:
        InputError: if the file cannot be read as an image.
    """
    return from_picture(to_channels(open_picture(path, white, window, frame), channels))


def square(u8: Tensor, resolution: int) -> Tensor:
    """Crop the central square and resize it with Pillow's Lanczos filter.

    Args:
        u8: uint8, shape (C, H, W), C = 1 or 3.
        resolution: the side of the result, in pixels.

    Returns:
        uint8, shape (C, resolution, resolution).

    Example:
        >>> square(torch.full((3, 20, 30), 7, dtype=torch.uint8), 16).unique().tolist()
        [7]
    """
    check_at_least("resolution", resolution, 1)
    return from_picture(square_picture(to_picture(u8), resolution))
