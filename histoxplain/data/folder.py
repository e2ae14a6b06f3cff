"""Image folders: one sub-folder per class, or images of unknown class, or a single image."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from histoxplain._checks import InputError, check_exists
from histoxplain.data.case import Case
from histoxplain.data.dicom import SPACING, WINDOW, holds_dicom, may_be_dicom
from histoxplain.data.patients import chest_patients
from histoxplain.data.source import Row, Source, rows_of_split
from histoxplain.data.transforms import from_picture, open_picture, to_channels, to_unit

SUFFIXES = frozenset(
    {
        ".bmp",
        ".dcm",
        ".dicom",
        ".gif",
        ".j2k",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".ppm",
        ".tga",
    }
    | {".tif", ".tiff", ".webp"}
)
"""File names that promise an image."""


class ImageFolder(Source):
    """Images of any size in class sub-folders, read when asked for.

    The first folder level is the class; deeper levels are part of the case's id. Images that lie beside the class
    folders, or in a folder without any, have label -1. Order is alphabetical. Groups are known where files are named as
    those of the paediatric chest X-rays.

    Args:
        path: the folder, or one image file.
        split: must be None; folders are not split.
        channels: 1 for grey, 3 for RGB.

    Raises:
        InputError: if there is no image.
    """

    def __init__(self, path: str | Path, split: str | None = None, channels: int = 3) -> None:
        self.path = check_exists("data", path)
        self.root, files = find_images(self.path)
        class_names = class_folders(self.root) if self.path.is_dir() else []
        rows = [row_of(file.relative_to(self.root), class_names) for file in files]
        if not rows:
            raise InputError(f"`data` must hold images, got {path} without any; known endings are {known_suffixes()}.")
        patients = chest_patients([row.id for row in rows])
        rows = [replace(row, group=patient) for row, patient in zip(rows, patients)]
        super().__init__([rows[i] for i in rows_of_split(rows, split)], class_names, None, channels)

    def __getitem__(self, index: int) -> Case:
        row = self.rows[index]
        picture = open_picture(self.root / row.id)
        image = to_unit(from_picture(to_channels(picture, self.channels)))
        meta = {name: picture.info[name] for name in (SPACING, WINDOW) if name in picture.info}
        return Case(image, None if row.label < 0 else row.label, row.id, row.group, meta=meta)

    def file(self, index: int) -> Path:
        """The file of a case."""
        return self.root / self.rows[index].id


def known_suffixes() -> str:
    """The file endings that promise an image, for people."""
    return ", ".join(sorted(SUFFIXES))


def find_images(path: Path) -> tuple[Path, list[Path]]:
    """The root and the image files below it, in alphabetical order; hidden files are left out.

    Images are told by their endings, and DICOM without one by its first bytes.
    """
    if path.is_file():
        return path.parent, [path]
    return path, [file for file in walk(path) if not is_hidden(file, path) and is_image_file(file)]


def is_image_file(file: Path) -> bool:
    """Whether a file promises an image by its ending, or is DICOM without one."""
    if file.suffix.lower() in SUFFIXES:
        return True
    return may_be_dicom(file) and file.is_file() and holds_dicom(file)


def walk(root: Path) -> list[Path]:
    """All files below `root`, in alphabetical order; links to folders are followed, each folder once."""
    files, seen = [], set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        files += [Path(folder, name) for name in names]
    return sorted(files)


def is_hidden(file: Path, root: Path) -> bool:
    """Whether the file, or a folder between it and `root`, is hidden or a leftover of some program.

    Example:
        >>> is_hidden(Path("data/__MACOSX/a.png"), Path("data"))
        True
    """
    return any(part.startswith((".", "__")) for part in file.relative_to(root).parts)


def class_folders(root: Path) -> list[str]:
    """Names of the class sub-folders, in alphabetical order; hidden ones are left out."""
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not is_hidden(entry, root))


def row_of(relative: Path, class_names: list[str]) -> Row:
    """The row of the image at `relative` inside its folder."""
    label = class_names.index(relative.parts[0]) if len(relative.parts) > 1 else -1
    return Row(relative.as_posix(), label)
