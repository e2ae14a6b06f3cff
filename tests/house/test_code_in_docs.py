"""Code in the README and in docs/: commands that the command line takes, Python that names what there is."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from functools import reduce
from pathlib import Path

import pytest

import histoxplain
from histoxplain import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands(page):
    """The `histoxplain` lines of a page, joined where they go on, without what stands behind them as remarks; a word in
    capitals stands for a value."""
    lines = "".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if "histoxplain" in line]
    found = [line[line.index("histoxplain") + 1 :] for line in words if "histoxplain" in line]
    whole = [line for line in found if not any(word == "..." or word.startswith("$") for word in line)]
    return [["1" if word.isalpha() and word.isupper() else word for word in line] for line in whole]


def complaint(line, capsys):
    """Why the command line does not take a line; nothing if it does, or if only the files are missing."""
    verb, options = cli.find_verb(line)
    try:
        cli.parse(verb, options)
    except histoxplain.InputError as error:
        return "" if "existing" in str(error) else str(error)
    except SystemExit:
        return capsys.readouterr().err
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_taken(page, capsys):
    assert {" ".join(line): why for line in commands(page) if (why := complaint(line, capsys))} == {}


def test_there_are_commands_to_test():
    assert len(commands(ROOT / "README.md")) >= 8
    assert len(commands(ROOT / "docs/own-data.md")) >= 10


def named(node):
    """`hx.a.b` as text, where a node is that."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts, node = [node.attr, *parts], node.value
    return parts if isinstance(node, ast.Name) and node.id == "hx" else []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_names_what_there_is(page):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            function = node.func if isinstance(node, ast.Call) else node
            parts = named(function)
            if not parts:
                continue
            found = reduce(getattr, parts, histoxplain)
            if isinstance(node, ast.Call):
                given = {word.arg: None for word in node.keywords if word.arg}
                positional = [None] * sum(not isinstance(one, ast.Starred) for one in node.args)
                inspect.signature(found).bind_partial(*positional, **given)
