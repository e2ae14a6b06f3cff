"""A wheel holds the whole package, and nothing in the checkout points at one machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from setuptools import Distribution

PACKAGE = Path(__file__).parents[2] / "histoxplain"
MACHINE_PATH = re.compile(rb"(?<![\w.:/~-])(?:/(?:root|work|home|Users|tmp|opt)/|C:\\+Users\\)\w[\w./-]*")


def test_every_folder_is_a_package():
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_data_file_is_packaged(root, monkeypatch):
    monkeypatch.chdir(root)
    distribution = Distribution({"script_name": "setup.py"})
    distribution.parse_config_files()
    build = distribution.get_command_obj("build_py")
    build.ensure_finalized()
    packaged = {Path(folder, name) for _, folder, _, names in build.data_files for name in names}
    files = {path.relative_to(root) for path in PACKAGE.rglob("*") if path.is_file()}
    assert {path for path in files if path.suffix not in (".py", ".pyc")} - packaged == set()


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
