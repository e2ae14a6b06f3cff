"""Bounding boxes: which part of a picture shows what the picture is of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from PIL import Image

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, width and height, in pixels."""


def square_around(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The square that holds a box, moved into the picture; no larger than the picture's shorter side.

    Args:
        box: left, top, width and height.
        size: width and height of the picture.

    Returns:
        Left, top, right and bottom, as `PIL.Image.crop` takes them.

    Example:
        >>> square_around((10, 40, 60, 20), (100, 80))
        (10, 20, 70, 80)
        >>> square_around((0, 0, 100, 30), (100, 80))
        (10, 0, 90, 80)
    """
    left, top, width, height = box
    side = max(1, min(round(max(width, height)), *size))
    x, y = round(left + (width - side) / 2), round(top + (height - side) / 2)
    x, y = max(0, min(x, size[0] - side)), max(0, min(y, size[1] - side))
    return x, y, x + side, y + side


def cropped(load: Callable[[], Image.Image], box: Box) -> Image.Image:
    """A picture, cropped to the square around a box; what is known of its pixels stays known."""
    picture = load()
    part = picture.crop(square_around(box, picture.size))
    part.info = dict(picture.info)
    return part
