"""The layout of CUB-200-2011: lists that number the images and say class, split and bounding box by number."""

from __future__ import annotations

import math
from collections.abc import Mapping

from histoxplain._checks import InputError, check
from histoxplain.data.boxes import Box
from histoxplain.data.source import Row
from histoxplain.data.table import Table, images
from histoxplain.data.tree import Tree

IMAGES, LABELS, CLASSES = "images.txt", "image_class_labels.txt", "classes.txt"
SPLIT, BOXES = "train_test_split.txt", "bounding_boxes.txt"
SPLITS = {"1": "train", "0": "test"}


def cub(tree: Tree, root: str) -> Table | None:
    """CUB-200-2011 (Wah et al., 2011), or anything laid out like it.

    `images.txt` numbers the files below `images/`, `image_class_labels.txt` gives each number its class,
    `classes.txt` each class its name. `train_test_split.txt` (1 is train) and `bounding_boxes.txt` (left, top, width
    and height in pixels) may be missing; what they list they must list for every image. A file that is listed but not
    there is left out, as is one that is there but not listed.

    Raises:
        InputError: if a list is missing or malformed, or does not say what it should of an image.
    """
    if f"{root}{IMAGES}" not in tree or not any(f"{root}{name}" in tree for name in (LABELS, CLASSES, SPLIT)):
        return None
    files, labels, classes = (read_list(tree, root, name) for name in (IMAGES, LABELS, CLASSES))
    splits, boxes = (read_list(tree, root, name) if f"{root}{name}" in tree else None for name in (SPLIT, BOXES))
    number, there = {key: i for i, key in enumerate(classes)}, set(images(tree, f"{root}images/"))
    listed = {key: f"{root}images/{file}" for key, file in files.items()}
    left_out = {name: f"listed in {IMAGES}, but not there" for name in listed.values() if name not in there}
    left_out |= dict.fromkeys(sorted(there - set(listed.values())), f"has no line in {IMAGES}")
    found, rows, parts = [], [], []
    for key in sorted((key for key in files if listed[key] in there), key=listed.__getitem__):
        label = said(labels, key, LABELS, f"image {key}")
        known = label in number
        check(known, LABELS, f"give image {key} a class that {CLASSES} names", repr(label), f"add it to {CLASSES}")
        split = None if splits is None else choice(said(splits, key, SPLIT, f"image {key}"), key)
        found.append(listed[key])
        rows.append(Row(files[key], number[label], split=split))
        if boxes is not None:
            parts.append(box_of(said(boxes, key, BOXES, f"image {key}"), key))
    lists = tuple(f"{root}{name}" for name in (IMAGES, LABELS, CLASSES, SPLIT, BOXES) if f"{root}{name}" in tree)
    return Table(tuple(found), tuple(rows), tuple(classes.values()), left_out, lists, boxes=tuple(parts))


def read_list(tree: Tree, root: str, name: str) -> dict[str, str]:
    """What a list says by number, in its order.

    Raises:
        InputError: if it is missing, a line has nothing behind its number, or a number stands there twice.
    """
    there = f"{root}{name}" in tree
    check(there, "source", f"hold {name} beside {IMAGES}, as CUB-200 does", "none", "unpack the archive again")
    values: dict[str, str] = {}
    for place, line in enumerate(tree.text(f"{root}{name}").splitlines(), 1):
        key, _, value = line.strip().partition(" ")
        if not key:
            continue
        check(bool(value.strip()), name, "give every number something", f"{line!r} in line {place}")
        check(key not in values, name, "give every number one line", f"{key} again in line {place}")
        values[key] = value.strip()
    return values


def said(table: Mapping[str, str], key: str, name: str, what: str) -> str:
    """What a list says of an image.

    Raises:
        InputError: if it says nothing.

    Example:
        >>> said({"1": "3"}, "2", "image_class_labels.txt", "image 2")
        Traceback (most recent call last):
        histoxplain._checks.InputError: `image_class_labels.txt` must list image 2, got no line for it.
    """
    check(key in table, name, f"list {what}", "no line for it", f"add one, or take {what} out of {IMAGES}")
    return table[key]


def choice(text: str, key: str) -> str:
    """The split that a 1 or a 0 means."""
    check(text in SPLITS, SPLIT, "say 1 (train) or 0 (test)", f"{text!r} for image {key}")
    return SPLITS[text]


def box_of(text: str, key: str) -> Box:
    """Four numbers, of which width and height are above 0.

    Example:
        >>> box_of("60.0 27.0 325.0 304.0", "1")
        (60.0, 27.0, 325.0, 304.0)
    """
    try:
        left, top, width, height = (float(part) for part in text.split())
        if not (width > 0 and height > 0 and all(map(math.isfinite, (left, top, width, height)))):
            raise ValueError("an empty box")
    except ValueError as error:
        rule = "give left, top, width and height, the last two above 0"
        raise InputError(f"`{BOXES}` must {rule}, got {text!r} for image {key}.") from error
    return left, top, width, height
