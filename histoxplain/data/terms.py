"""Under which terms data were published: a small file beside what was downloaded, read when it is prepared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histoxplain._atomic import replacing

NAME = "SOURCE.json"


def write_terms(folder: Path, terms: Mapping[str, Any]) -> None:
    """Record where the files of a folder come from."""
    with replacing(folder / NAME) as part:
        part.write_text(json.dumps(dict(terms), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_terms(folder: Path) -> dict[str, Any]:
    """What is recorded; empty if nothing is, or if it cannot be read."""
    try:
        terms = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return terms if isinstance(terms, dict) else {}


def terms_of(path: Path) -> str | None:
    """The licence of downloaded data: recorded in its folder or, if it was unpacked there, in the one above.

    Example:
        >>> terms_of(Path("nowhere")) is None
        True
    """
    for folder in (path, path.parent, path.parent.parent):
        if licence := read_terms(folder).get("licence"):
            return str(licence)
    return None
