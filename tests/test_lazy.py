from __future__ import annotations

import sys

import pytest

ROOM = """
from histoxplain._lazy import attach
__getattr__, __dir__, __all__ = attach(__name__, {"quiet": ["whisper"], "shout": ["shout"]}, ["corner"])
"""


@pytest.fixture
def room(tmp_path, monkeypatch):
    folder = tmp_path / "annexe"
    folder.mkdir()
    (folder / "__init__.py").write_text(ROOM)
    (folder / "quiet.py").write_text("def whisper(): return 'psst'\n")
    (folder / "shout.py").write_text("def shout(): return 'HEY'\n")
    (folder / "corner.py").write_text("chairs = 4\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__("annexe")
    for name in [name for name in sys.modules if name.partition(".")[0] == "annexe"]:
        del sys.modules[name]


def test_announces_without_loading(room):
    assert room.__all__ == dir(room) == ["corner", "shout", "whisper"]
    assert "annexe.quiet" not in sys.modules


def test_loads_on_first_touch(room):
    assert room.whisper() == "psst"
    assert "annexe.quiet" in sys.modules
    assert room.corner.chairs == 4


def test_a_function_named_like_its_file_wins(room):
    assert room.shout() == "HEY"


def test_unknown_names_are_refused(room):
    with pytest.raises(AttributeError, match="module 'annexe' has no attribute 'attic'"):
        _ = room.attic
