"""Which volume is for training, which for validation, which for the test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from histoxplain._checks import check, check_between, check_one_of
from histoxplain.data.source import Row
from histoxplain.data.splits import split_groups

BLOCK = 8
"""Neighbouring slices that stay together where a volume is shared between training and validation."""


def check_parts(names: Sequence[str], test: Sequence[str], validation: Sequence[str], share: float) -> None:
    """Parts must be volumes that there are, none in both, and some left for training.

    Raises:
        InputError: if they are not.
    """
    for part, wish in (("test", test), ("validation", validation)):
        for name in wish:
            check_one_of(part, name, names)
    both = sorted({*test} & {*validation})
    check(not both, "validation", "be other volumes than test", ", ".join(both))
    check(len({*test, *validation}) < len(names), "test", "leave a volume for training", ", ".join(names))
    check_between("validation_share", share, 0, 0.5)


def assign(
    rows: Sequence[Row], heights: Sequence[int], test: Sequence[str], validation: Sequence[str], share: float, seed: int
) -> tuple[list[Row], list[str]]:
    """Rows with their splits, and what there is to say about them; as they were if no part was named.

    Args:
        rows: whose groups are names of volumes.
        heights: number of each row's slice.
        test: volumes for the test.
        validation: volumes for validation; without any, blocks of the training volumes' slices are set aside.
        share: of these blocks.
        seed: of their choice.
    """
    if not test and not validation:
        return list(rows), []
    named = {**dict.fromkeys(test, "test"), **dict.fromkeys(validation, "validation")}
    split = [named.get(row.group, "train") for row in rows]
    notes = []
    if not validation and share > 0:
        places = [i for i, name in enumerate(split) if name == "train"]
        labels, blocks = [rows[i].label for i in places], [f"{rows[i].group}/{heights[i] // BLOCK}" for i in places]
        chosen = split_groups(labels, blocks, (1 - share, share, 0), seed)
        split = [*split]
        for i, name in zip(places, chosen):
            split[i] = name
        notes.append(
            f"validation has blocks of {BLOCK} neighbouring slices of the training volumes; only the test is of others"
        )
    return [replace(row, split=name) for row, name in zip(rows, split)], notes
