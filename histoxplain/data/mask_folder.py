"""Masks of images in a folder beside them, in files of the same names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from histoxplain._checks import check, check_exists
from histoxplain.data.collection import Collection
from histoxplain.data.folder import walk
from histoxplain.data.masks import read_mask


def mask_files(root: Path) -> Callable[[str], Path | None]:
    """From the path of an image inside its folder to its mask inside `root`, whose ending may be another."""
    files = {file.relative_to(root).as_posix(): file for file in walk(root)}
    stems = {str(PurePosixPath(name).with_suffix("")): file for name, file in files.items()}
    return lambda id: files.get(id) or stems.get(str(PurePosixPath(id).with_suffix("")))


def with_masks(found: Collection, root: str | Path) -> Collection:
    """The same images with the masks in a folder; images without one there keep none.

    Raises:
        InputError: if no image has a mask there.
    """
    root = check_exists("masks", root)
    check(root.is_dir(), "masks", "be a folder with a mask for every image", f"the file {root}")
    file_of = mask_files(root)
    files = [file_of(candidate.row.id) for candidate in found.candidates]
    example = found.candidates[0].row.id if found.candidates else "an image"
    check(any(files), "masks", "hold files named as the images", f"{root}, which lacks {example} and all others")
    candidates = [
        replace(candidate, load_mask=None if file is None else partial(read_mask, file))
        for candidate, file in zip(found.candidates, files)
    ]
    return replace(found, candidates=candidates)
