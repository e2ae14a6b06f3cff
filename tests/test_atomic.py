from __future__ import annotations

import pytest

from histoxplain._atomic import replacing, replacing_folder


def test_replaces_only_at_the_end(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as part:
        part.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_a_failure_keeps_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        part.write_text(f"ha{1 / 0}")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_takes_the_place_of_the_old_one_at_the_end(tmp_path):
    path = tmp_path / "a"
    path.mkdir()
    (path / "old.txt").write_text("old")
    with replacing_folder(path) as part:
        (part / "new.txt").write_text("new")
        assert [file.name for file in path.iterdir()] == ["old.txt"]
    assert [file.name for file in path.iterdir()] == ["new.txt"]


def test_a_failure_keeps_the_old_folder_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    path.mkdir()
    (path / "old.txt").write_text("old")
    with pytest.raises(ZeroDivisionError), replacing_folder(path) as part:
        (part / "new.txt").write_text(f"ha{1 / 0}")
    assert [file.name for file in tmp_path.rglob("*.txt")] == ["old.txt"]
    assert list(tmp_path.iterdir()) == [path]
