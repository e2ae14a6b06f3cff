"""Tensors to the bytes a browser shows: large, smooth and quick to encode."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from histoxplain._checks import check, check_at_least
from histoxplain.data import to_uint8

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from matplotlib.figure import Figure
    from torch import Tensor


def picture(x: Tensor, side: int = 448, smooth: bool = True) -> Image.Image:
    """One image, enlarged for the screen.

    Args:
        x: shape (C, H, W) with one or three channels, in [-1, 1]; values beyond are clipped.
        side: length of the longer side, in pixels.
        smooth: Lanczos interpolation; otherwise every pixel becomes a sharp square.

    Raises:
        InputError: if `x` is no image of one or three channels, or `side` is below 1.

    Example:
        >>> import torch
        >>> picture(torch.zeros(3, 16, 8), side=64).size
        (32, 64)
    """
    check(x.ndim == 3 and len(x) in (1, 3), "x", "have shape (1 or 3, H, W)", tuple(x.shape), "pass a single image")
    check_at_least("side", side, 1)
    return enlarged(to_uint8(x.detach().cpu()).permute(1, 2, 0).squeeze(2).numpy(), side, smooth)


def enlarged(pixels: np.ndarray, side: int = 448, smooth: bool = True) -> Image.Image:
    """Pixels (H, W) or (H, W, 3), uint8, as an image whose longer side is `side`; see `picture`."""
    scale = side / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST)


def jpeg(image: Image.Image) -> bytes:
    """JPEG bytes for a widget that follows a slider: quality 92, colour at full resolution, some milliseconds."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=92, subsampling=0)
    return buffer.getvalue()


def png_bytes(image: Image.Image) -> bytes:
    """PNG bytes: every pixel as it is."""
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def png(figure: Figure, dpi: int = 100) -> bytes:
    """A matplotlib figure as PNG bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()


def beside(pictures: Mapping[str, Image.Image], gap: int = 12, kind: str = "JPEG") -> bytes:
    """Pictures in a row on white, each under its caption, as bytes of a JPEG or a PNG.

    Example:
        >>> small = Image.new("RGB", (10, 20))
        >>> Image.open(BytesIO(beside({"before": small, "after": small}, gap=5))).size
        (25, 40)
    """
    images, line = list(pictures.values()), 20
    width = sum(image.width for image in images) + gap * (len(images) - 1)
    sheet = Image.new("RGB", (width, max(image.height for image in images) + line), "white")
    left, pen, font = 0, ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for caption, image in pictures.items():
        pen.text((left, 1), caption, fill="black", font=font)
        sheet.paste(image, (left, line))
        left += image.width + gap
    return jpeg(sheet) if kind == "JPEG" else png_bytes(sheet)
