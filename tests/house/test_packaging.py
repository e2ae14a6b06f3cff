"""A wheel holds the whole package, and nothing in the checkout points at one machine."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "histoxplain"
MACHINE_PATH = re.compile(rb"(?<![\w.:/~-])(?:/(?:root|work|home|Users|tmp|opt)/|C:\\+Users\\)\w[\w./-]*")


def test_every_folder_is_a_package():
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_data_file_is_packaged(root):
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg")
    patterns = [pattern.strip() for pattern in config["options.package_data"]["*"].split(",")]
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert [path for path in files if not any(path.match(pattern) for pattern in patterns)] == []


@pytest.fixture(scope="module")
def tracked(root) -> list[Path]:
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    return [path for name in listing.split("\0") if name and (path := root / name).is_file()]


def test_no_file_points_at_one_machine(tracked):
    found = {path.name: MACHINE_PATH.findall(path.read_bytes()) for path in tracked if path.name != Path(__file__).name}
    assert {name: paths for name, paths in found.items() if paths} == {}


def test_notebooks_stay_small(tracked):
    assert [path.name for path in tracked if path.suffix == ".ipynb" and path.stat().st_size > 1_000_000] == []
