"""The image files that a command line names, and what to call their results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


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
