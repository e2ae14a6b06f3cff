"""Patients of the paediatric chest X-rays (Kermany et al., 2018), as their file names tell them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

PATIENT = re.compile(r"person\d+|IM-\d+")
PNEUMONIA = re.compile(r"person\d+_(bacteria|virus)_\d+")
"""File names of that data set alone; `IM-0001-0001` may be any scan that some program has numbered."""


def all_patients(names: Sequence[str]) -> list[str | None]:
    """Patients of the chest X-rays; None for all if one file does not tell.

    Example:
        >>> all_patients(["test/PNEUMONIA/person17_virus_3.jpeg", "train/NORMAL/NORMAL2-IM-0588-0001.jpeg"])
        ['person17', 'IM-0588']
    """
    found = _patients(names)
    return found if all(found) else [None] * len(names)


def chest_patients(names: Sequence[str]) -> list[str | None]:
    """Patients where names tell them, if some file is named as only those of that data set are; else None for all.

    Example:
        >>> chest_patients(["NORMAL/IM-0115-0001.jpeg", "PNEUMONIA/person1_bacteria_2.jpeg", "b.png"])
        ['IM-0115', 'person1', None]
        >>> chest_patients(["head/IM-0001-0001.png"])
        [None]
    """
    chest = any(PNEUMONIA.match(PurePosixPath(name).name) for name in names)
    return _patients(names) if chest else [None] * len(names)


def _patients(names: Sequence[str]) -> list[str | None]:
    found = [PATIENT.search(PurePosixPath(name).name) for name in names]
    return [match[0] if match else None for match in found]
