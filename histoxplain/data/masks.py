"""Masks: which pixels of an image are diseased."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from histoxplain._checks import InputError, check, check_exists
from histoxplain.data.transforms import complaint, square_picture

WAY_OUT = "a mask has a pixel for each of its image, 0 where nothing is diseased"


def read_mask(path: str | Path) -> Image.Image:
    """A mask file as "L" picture: 0 where the file is black, 255 elsewhere.

    Numbers of classes in palettes, 16 bits and colours are all read alike; transparency says nothing.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        with Image.open(check_exists("masks", path)) as picture:
            upright = ImageOps.exif_transpose(picture)
            if upright.mode in ("LA", "La", "RGBA", "RGBa", "PA"):
                upright = upright.convert("L" if upright.mode in ("LA", "La") else "RGB")
            pixels = np.asarray(upright)
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"`masks` must hold readable images, got {path} ({complaint(error, Path(path))}).") from error
    return to_mask(pixels.any(-1) if pixels.ndim == 3 else pixels != 0)


def to_mask(diseased: np.ndarray) -> Image.Image:
    """Booleans (H, W) as "L" picture of 0 and 255."""
    return Image.fromarray(np.where(diseased, 255, 0).astype(np.uint8))


def from_mask(mask: Image.Image) -> Tensor:
    """An "L" picture of 0 and 255 as booleans (H, W)."""
    return torch.from_numpy(np.asarray(mask) > 0)


def square_mask(mask: Image.Image, resolution: int, size: tuple[int, int], id: str) -> Image.Image:
    """Crop and resize a mask as its image of `size` (width, height) is, with its nearest pixels.

    Raises:
        InputError: if the image has another size.
    """
    shapes = [f"{width} x {height} pixels" for width, height in (size, mask.size)]
    check(mask.size == size, "masks", f"be as large as their images, {shapes[0]}", f"{shapes[1]} for {id}", WAY_OUT)
    return square_picture(mask, resolution, Image.Resampling.NEAREST)
