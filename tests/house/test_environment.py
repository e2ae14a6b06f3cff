"""setup.cfg, constraints.txt and environment.yml ask for the same packages."""

from __future__ import annotations

import configparser
import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CONDA_NAMES = {"torch": "pytorch", "lmdb": "python-lmdb"}
CONDA_ONLY = {"python", "pip"}


def requirements(lines: str) -> dict[str, Requirement]:
    wanted = [Requirement(line) for line in lines.splitlines() if line.strip()]
    return {canonicalize_name(requirement.name): requirement for requirement in wanted}


@pytest.fixture(scope="module")
def setup(root) -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg")
    return config


@pytest.fixture(scope="module")
def asked(setup) -> dict[str, Requirement]:
    return requirements("\n".join([setup["options"]["install_requires"], *setup["options.extras_require"].values()]))


@pytest.fixture(scope="module")
def pinned(root) -> dict[str, Requirement]:
    lines = (root / "constraints.txt").read_text().splitlines()
    return requirements("\n".join(line for line in lines if not line.startswith("#")))


def test_conda_gets_the_same_packages(root, asked):
    lines = re.findall(r"^ +- ([a-z][\w.>=<,-]*)$", (root / "environment.yml").read_text(), re.MULTILINE)
    conda = {(name := Requirement(line)).name: str(name.specifier) for line in lines if line != "conda-forge"}
    expected = {CONDA_NAMES.get(name, name): str(requirement.specifier) for name, requirement in asked.items()}
    assert {name: bound for name, bound in conda.items() if name not in CONDA_ONLY} == expected


def test_conda_gets_the_same_python(root, setup):
    assert f"- python{setup['options']['python_requires']}\n" in (root / "environment.yml").read_text()


def test_everything_asked_for_is_pinned(asked, pinned):
    assert set(asked) <= set(pinned)
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) for pin in pinned.values())


def test_pins_satisfy_setup_cfg(asked, pinned):
    versions = {name: str(pinned[name].specifier).removeprefix("==") for name in asked}
    assert [name for name, version in versions.items() if version not in asked[name].specifier] == []


def test_torch_and_torchvision_belong_together(pinned):
    assert str(pinned["torch"].specifier) == "==2.13.0"
    assert str(pinned["torchvision"].specifier) == "==0.28.0"


def test_changelog_knows_this_version(root):
    import histoxplain

    changelog = (root / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in changelog or f"## [{histoxplain.__version__}]" in changelog
