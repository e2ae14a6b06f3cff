"""The images of any source, ready to be prepared: what is known of each, and how to load it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from PIL import Image

from histoxplain._checks import check
from histoxplain.data.boxes import cropped
from histoxplain.data.folder import SUFFIXES
from histoxplain.data.groups import GroupOf
from histoxplain.data.layouts import SPLIT_NAMES, read_layout
from histoxplain.data.naming import LabelOf, relabel
from histoxplain.data.opening import open_source
from histoxplain.data.report import Skipped
from histoxplain.data.source import Row
from histoxplain.data.table import Table
from histoxplain.data.tree import Tree
from histoxplain.data.window import Window
from histoxplain.data.zip import ImageZip, is_zip

WAY_OUT = "give a folder with one sub-folder of images per class"


@dataclass(frozen=True)
class Candidate:
    """An image that may be prepared: what is known of it, and how to load it as "L" or "RGB" picture."""

    row: Row
    load: Callable[[], Image.Image]
    load_mask: Callable[[], Image.Image | None] | None = None
    """Gives what is diseased as "L" picture of 0 and 255, as large as the image; None where nobody knows."""


@dataclass(frozen=True)
class Collection:
    """Images to prepare in alphabetical order, the names of their classes, and what was left out so far."""

    candidates: list[Candidate]
    class_names: list[str]
    skipped: list[Skipped] = field(default_factory=list)
    numbered: bool = False
    """Whether classes are numbers that others rely on, so that empty ones must stay."""
    notes: list[str] = field(default_factory=list)
    """What else a careful person should know."""


def collect(
    path: Path,
    group_of: GroupOf | None,
    white: int,
    label_of: LabelOf | None = None,
    window: Window = None,
    frame: int | None = None,
    boxes: bool = False,
) -> Collection:
    """The images of a folder, an archive, or any file that `open_source` reads; `label_of` may tell other classes.

    Raises:
        InputError: if there are none, or their classes cannot be told, or their bounding boxes, where `boxes` are asked
            for.
    """
    if path.is_dir() and not (path / "data.mdb").is_file():
        tree = Tree.of_folder(path)
        table = told_by_names(read_layout(tree), label_of)
        loads = [partial(tree.picture, name, white, window, frame) for name in table.names]
        return collect_table(path, tree, table, in_boxes(path, table, loads, boxes), group_of)
    if is_zip(path):
        archive = ImageZip(path, white=white, window=window, frame=frame)
        loads = [partial(archive.picture, i) for i in range(len(archive))]
        table = told_by_names(archive.table, label_of)
        return collect_table(path, archive.tree, table, in_boxes(path, table, loads, boxes), group_of)
    refuse_boxes(path, not boxes)
    source = open_source(path)
    stored = hasattr(source, "picture")
    check(stored, "source", "be a folder of class folders, an archive or an LMDB", f"the file {path}", WAY_OUT)
    loads = [partial(source.picture, i) for i in range(len(source))]
    rows, names, numbered = source.rows, list(source.class_names), label_of is None
    if label_of is not None:
        rows, names = relabel(rows, names, label_of)
    masks = [partial(source.mask_picture, i) for i in range(len(source))] if hasattr(source, "mask_picture") else ()
    return choose(rows, loads, names, group_of, [], numbered, masks)


def told_by_names(table: Table, label_of: LabelOf | None) -> Table:
    """The table with the classes that file names tell, if that was asked for."""
    if label_of is None:
        return table
    rows, names = relabel(table.rows, table.class_names, label_of)
    return replace(table, rows=tuple(rows), class_names=tuple(names), numbered=False)


def in_boxes(
    path: Path, table: Table, loads: Sequence[Callable[[], Image.Image]], boxes: bool
) -> Sequence[Callable[[], Image.Image]]:
    """How to load the images, cropped to their bounding boxes if that was asked for."""
    if not boxes:
        return loads
    refuse_boxes(path, bool(table.boxes))
    return [partial(cropped, load, box) for load, box in zip(loads, table.boxes)]


def refuse_boxes(path: Path, known: bool) -> None:
    """There must be bounding boxes to crop to."""
    check(known, "boxes", "be cropped to where the data has a bounding_boxes.txt, as CUB-200", path, "leave it out")


def collect_table(
    path: Path, tree: Tree, table: Table, loads: Sequence[Callable[[], Image.Image]], group_of: GroupOf | None
) -> Collection:
    """The images of a tree, with a reason for every file in it that is of no use."""
    names = list(table.class_names)
    splits = bool(names) and {name.lower() for name in names} <= set(SPLIT_NAMES)
    got = f"{path}, whose folders are {', '.join(names)}"
    check(not splits, "source", "hold one folder per class", got, f"put class folders into {names[0] if names else ''}")
    used = {*table.names, *table.lists}
    skipped = [Skipped(name, table.left_out.get(name) or why_not(name)) for name in tree.names if name not in used]
    skipped += [Skipped(name, reason) for name, reason in table.left_out.items() if name not in tree]
    return choose(table.rows, loads, names, group_of, skipped, table.numbered)


def choose(
    rows: Sequence[Row],
    loads: Sequence[Callable[[], Image.Image]],
    class_names: list[str],
    group_of: GroupOf | None,
    skipped: list[Skipped],
    numbered: bool,
    masks: Sequence[Callable[[], Image.Image | None]] = (),
) -> Collection:
    """Leave out what has no group or no class where others have one."""
    candidates = []
    for row, load, load_mask in zip(rows, loads, masks or [None] * len(rows)):
        row = replace(row, group=group_of(row.id), split=None) if group_of else row
        reason = reason_to_skip(row, grouped=group_of is not None, classes=bool(class_names) and not numbered)
        if reason:
            skipped.append(Skipped(row.id, reason))
        else:
            candidates.append(Candidate(row, load, load_mask))
    return Collection(candidates, class_names, skipped, numbered)


def why_not(name: str) -> str:
    """Why a file is not taken for an image.

    Example:
        >>> why_not("cases.csv")
        'not an image: ending .csv'
    """
    suffix = Path(name).suffix
    return "hidden" if suffix.lower() in SUFFIXES else f"not an image: ending {suffix or '(none)'}"


def reason_to_skip(row: Row, grouped: bool, classes: bool) -> str | None:
    """Why an image must be left out, judged by its place."""
    if classes and row.label < 0:
        return "lies beside the class folders, so its class is unknown"
    if grouped and row.group is None:
        return "no group is known for it, so it could leak from train to test"
    return None
