"""The image files that a command line names, and what to call their results."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histoxplain.data.window import Window


def image_files(paths: Sequence[Path]) -> list[Path]:
    """The image files behind files and folders, in order.

    Raises:
        InputError: if a path is missing or a folder holds no image.
    """
    from histoxplain._checks import check_exists
    from histoxplain.data.folder import find_images

    files = []
    for path in paths:
        check_exists("IMAGE", path)
        found = find_images(path)[1] if path.is_dir() else [path]
        if not found:
            from histoxplain._checks import InputError

            raise InputError(f"`IMAGE` must be an image or a folder of images, got {path} without any.")
        files += found
    return files


def names_of(files: Sequence[Path]) -> list[str]:
    """A folder name for each file, its stem; numbered where several share one.

    Example:
        >>> names_of([Path("a/x.png"), Path("b/x.png"), Path("y.png")])
        ['x', 'x-2', 'y']
    """
    names: list[str] = []
    for file in files:
        stem = file.stem.lstrip(".") or "image"
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}-{number}", number + 1
        names.append(name)
    return names


def about_scan(
    file: Path, resolution: int, window: Window = None, frame: int | None = None
) -> tuple[float, float] | None:
    """Pixel spacing of a DICOM file once it is a square of `resolution`; says on stderr if it names no window."""
    from histoxplain.data.dicom import SPACING, WINDOW, holds_dicom
    from histoxplain.data.transforms import open_picture
    from histoxplain.data.window import NO_WINDOW

    if not holds_dicom(file):
        return None
    picture = open_picture(file, window=window, frame=frame)
    if picture.info[WINDOW] == NO_WINDOW:
        print(f"histoxplain: {file}: window: {NO_WINDOW}; --window CENTRE/WIDTH sets one", file=sys.stderr)
    factor = min(picture.size) / resolution
    spacing = picture.info.get(SPACING)
    return None if spacing is None else (spacing[0] * factor, spacing[1] * factor)
