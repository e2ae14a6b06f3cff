"""The bundles that a server offers; each is read when somebody first asks for it, and kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histoxplain._checks import check, check_one_of
from histoxplain.models import load_bundle
from histoxplain.models.bundle import DESCRIPTION, checkpoint_folders, find_bundle

if TYPE_CHECKING:
    from histoxplain.models import Bundle


class Shelf:
    """Bundles by name.

    Args:
        names: names or folders; by default all that lie under `checkpoints/`.

    Raises:
        InputError: if there is none, or one is not found.
    """

    def __init__(self, names: Sequence[str | Path] = ()) -> None:
        paths = [find_bundle(name) for name in names] if names else _lying_here()
        check(bool(paths), "bundle", "name a bundle", "none", "run in the folder that holds checkpoints/")
        self._paths = {path.name: path for path in paths}
        self._kept: dict[str, Bundle] = {}
        self._lock = threading.Lock()

    @property
    def titles(self) -> dict[str, str]:
        """What each is about, by name."""
        return {name: str(_described(path).get("title") or name) for name, path in self._paths.items()}

    def take(self, name: str) -> Bundle:
        """The bundle of that name.

        Raises:
            InputError: if it is not on the shelf.
        """
        check_one_of("bundle", name, self._paths)
        with self._lock:
            if name not in self._kept:
                self._kept[name] = load_bundle(self._paths[name])
            return self._kept[name]


def _lying_here() -> list[Path]:
    """One bundle a name: those that can draw examples first, each kind in alphabetical order."""
    found: dict[str, Path] = {}
    for place in checkpoint_folders():
        for description in place.glob(f"*/{DESCRIPTION}"):
            found.setdefault(description.parent.name, description.parent)
    return sorted(found.values(), key=lambda path: ("generator" not in _described(path).get("files", {}), path.name))


def _described(path: Path) -> dict[str, Any]:
    return json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
