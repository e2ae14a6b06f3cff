"""How published data sets lay out their files: which image is of which class, patient and split.

A layout is a function from a tree of files to a table, or to None where it does not apply; the first that applies is
taken. The last one, a folder for every class, always does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath

from histoxplain._checks import InputError, check
from histoxplain.data.companion import Companion, complete
from histoxplain.data.cub import cub
from histoxplain.data.groups import read_table
from histoxplain.data.labels import parse_label, with_labels
from histoxplain.data.patients import all_patients, chest_patients
from histoxplain.data.source import Row
from histoxplain.data.table import Table, images, tabulate
from histoxplain.data.tree import Tree, visible

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
Layout = Callable[[Tree, str], Table | None]


def read_layout(tree: Tree, strip: bool = False) -> Table:
    """The images of a tree, by the first layout that applies, also inside a single folder that wraps everything.

    Args:
        tree: the files.
        strip: whether such a folder is always skipped, as archives have it; else it may be the only class.
    """
    wrapper = wrapping_folder(tree)
    for layout in (nvidia, cub, rsna, split_folders, lung_and_colon):
        for root in dict.fromkeys(("", wrapper)):
            table = layout(tree, root)
            if table is not None:
                return table
    return class_folders(tree, wrapper if strip and has_subfolders(tree, wrapper) else "")


def wrapping_folder(tree: Tree) -> str:
    """The one folder in which everything visible lies, with a slash at its end; empty if there is none."""
    heads = {name.partition("/")[0] + "/" * ("/" in name) for name in tree.names if visible(name)}
    return heads.pop() if len(heads) == 1 and all(head.endswith("/") for head in heads) else ""


def has_subfolders(tree: Tree, root: str) -> bool:
    """Whether the images below `root` lie in folders."""
    return any("/" in name[len(root) :] for name in images(tree, root))


def class_folders(tree: Tree, root: str) -> Table:
    """`<class>/<file>`, as NCT-CRC-HE has it; images beside the class folders have no class.

    Where files are named as those of the paediatric chest X-rays, names tell the patients.
    """
    names = images(tree, root)
    parts = [name[len(root) :].split("/") for name in names]
    folders = [folder[len(root) : -1] for folder in tree.folders if folder.startswith(root) and visible(folder)]
    empty = [folder for folder in folders if folder and "/" not in folder]
    classes = [part[0] if len(part) > 1 else None for part in parts]
    return tabulate(names, root, classes, empty, group=chest_patients(names))


def split_folders(tree: Tree, root: str) -> Table | None:
    """`<split>/<class>/<file>`, as the paediatric chest X-rays have it (Kermany et al., 2018)."""
    names = images(tree, root)
    parts = [name[len(root) :].split("/") for name in names]
    if not parts or any(len(part) < 3 or part[0].lower() not in SPLIT_NAMES for part in parts):
        return None
    classes = [part[1] for part in parts]
    groups = all_patients(names) if set(classes) == {"NORMAL", "PNEUMONIA"} else [None] * len(names)
    return tabulate(names, root, classes, split=[SPLIT_NAMES[part[0].lower()] for part in parts], group=groups)


def lung_and_colon(tree: Tree, root: str) -> Table | None:
    """`lung_image_sets/lung_aca/<file>`, as LC25000 has it (Borkowski et al., 2019)."""
    names = images(tree, root)
    parts = [name[len(root) :].split("/") for name in names]
    if not parts or any(len(part) != 3 or not part[0].endswith("_image_sets") for part in parts):
        return None
    return tabulate(names, root, [part[1] for part in parts])


def rsna(tree: Tree, root: str) -> Table | None:
    """RSNA Pneumonia Detection Challenge (2018): DICOM named by patient; `Target` of the table is the class.

    A patient may stand in several lines, one for each opacity. The challenge's test images have no label.
    """
    name = f"{root}stage_2_train_labels.csv"
    if name not in tree:
        return None
    targets = {}
    for patient, target in read_table(tree.text(name), name, "patientId", "Target"):
        check(target in ("0", "1"), "Target", "be 0 or 1", f"{target!r} in {name}")
        targets[patient] = target
    names = images(tree, root)
    labelled = [file for file in names if PurePosixPath(file).stem in targets]
    people = [PurePosixPath(file).stem for file in labelled]
    classes = ["pneumonia" if targets[person] == "1" else "no pneumonia" for person in people]
    left_out = dict.fromkeys(sorted(set(names) - set(labelled)), f"has no line in {PurePosixPath(name).name}")
    return replace(tabulate(labelled, root, classes, group=people), left_out=left_out, lists=(name,))


def nvidia(tree: Tree, root: str) -> Table | None:
    """The dataset.zip of NVIDIA's StyleGAN repositories: `dataset.json` gives labels as numbers, vectors or null."""
    file = f"{root}dataset.json"
    if file not in tree:
        return None
    fields = read_fields(tree.text(file))
    if "labels" not in fields:
        return None
    names = images(tree, root)
    if fields.get("labels") is None:
        rows, left_out = [Row(name[len(root) :]) for name in names], {}
    else:
        labels = read_labels(fields["labels"])
        left_out = {name: "has no label in dataset.json" for name in names if name[len(root) :] not in labels}
        names = [name for name in names if name not in left_out]
        rows = with_labels([Row(name[len(root) :]) for name in names], [labels[name[len(root) :]] for name in names])
    companion = Companion.parse(fields.get("histoxplain"), len(names))
    rows, class_names = complete(rows, companion)
    return Table(tuple(names), tuple(rows), tuple(class_names), left_out, (file,), numbered=True)


def read_fields(text: str) -> dict:
    """What dataset.json holds; nothing if it is some other JSON.

    Raises:
        InputError: if it is no JSON.
    """
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise InputError(f"`dataset.json` must be JSON, got something else ({error}).") from error
    return fields if isinstance(fields, dict) else {}


def read_labels(pairs: object) -> dict[str, int | tuple[float, ...] | None]:
    """Labels by file name, from dataset.json's `[[name, label], ...]`.

    Raises:
        InputError: if it is not such a list.
    """
    fine = isinstance(pairs, list) and all(isinstance(p, list) and len(p) == 2 and type(p[0]) is str for p in pairs)
    check(fine, "labels", "be null or [[name, label], ...] in dataset.json", str(pairs)[:60])
    return {name.replace("\\", "/"): parse_label(label, name) for name, label in pairs}
