"""Organs by name or number, in masks whose labels are numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from histoxplain._checks import check, check_one_of

SIDE = re.compile(r"[_ ](left|right)$")


def match_labels(organs: Sequence[str], labels: Mapping[int, str]) -> tuple[int, ...]:
    """Numbers of organs; one without a side stands for both.

    Args:
        organs: names or numbers.
        labels: names by number, as far as they are known.

    Raises:
        InputError: if a name is not known; the message names the nearest one.

    Example:
        >>> match_labels(["kidney"], {2: "kidney_right", 3: "kidney_left", 23: "kidney_cyst_left"})
        (2, 3)
    """
    found: set[int] = set()
    for organ in organs:
        if organ.isdigit():
            found.add(int(organ))
            continue
        wish = organ.replace(" ", "_").lower()
        same = {number for number, name in labels.items() if wish in (key(name), SIDE.sub("", key(name)))}
        if not same:
            way_out = "give its number"
            check(bool(labels), "organ", "be a number where the mask names no labels", repr(organ), way_out)
            check_one_of("organ", organ, dict.fromkeys(SIDE.sub("", name) for name in labels.values()))
        found |= same
    return tuple(sorted(found))


def key(name: str) -> str:
    """A name as it is compared."""
    return name.replace(" ", "_").lower()


def phrase(organs: Sequence[str]) -> str:
    """Organs in words.

    Example:
        >>> phrase(["liver", "kidney"])
        'liver or kidney'
    """
    return " or ".join(f"label {organ}" if organ.isdigit() else organ.replace("_", " ") for organ in organs)
