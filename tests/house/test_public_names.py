"""Public names stay: what `tests/api.json` lists must be there. Run this file as a script to pin new names."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "histoxplain"
API = Path(__file__).parents[1] / "api.json"
PINNED: dict[str, list[str]] = json.loads(API.read_text()) if API.exists() else {}


def rooms() -> list[str]:
    return ["histoxplain", *sorted(f"histoxplain.{path.parent.name}" for path in PACKAGE.glob("*/__init__.py"))]


@pytest.mark.parametrize("room", PINNED)
def test_nothing_vanished(room):
    module = import_module(room)
    assert not set(PINNED[room]) - set(module.__all__)


@pytest.mark.parametrize("room", rooms())
def test_everything_announced_is_there(room):
    module = import_module(room)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_every_room_is_pinned():
    assert set(rooms()) <= set(PINNED)


if __name__ == "__main__":
    names = {room: sorted(import_module(room).__all__) for room in rooms()}
    API.write_text(json.dumps(names, indent=2) + "\n")
