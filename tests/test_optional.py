from __future__ import annotations

import json
import sys

import pytest

from histoxplain._optional import require


def test_gives_the_module():
    assert require("json", extra="none") is json


def test_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(
        ImportError, match=r'^`umap` is needed here; install it with `pip install "histoxplain\[notebook\]"`\.$'
    ):
        require("umap", extra="notebook")


def test_speaks_of_the_package_not_the_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap.plot", None)
    with pytest.raises(ImportError, match="`umap` is needed here"):
        require("umap.plot", extra="notebook")
