"""The code stays short, documented and annotated, and its files have names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

PACKAGE = Path(__file__).parents[2] / "histoxplain"
FILES = sorted(PACKAGE.rglob("*.py"))
SPOKEN_FOR = {"forward", "backward", "extra_repr"}  # torch documents these

Function = ast.FunctionDef | ast.AsyncFunctionDef


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(node: ast.AST) -> Iterator[Function]:
    return (child for child in ast.walk(node) if isinstance(child, Function))


def body_lines(function: Function) -> int:
    """Lines after the signature and the docstring."""
    statements = function.body[1:] if ast.get_docstring(function) else function.body
    return function.end_lineno - statements[0].lineno + 1 if statements else 0


def public(node: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Public functions and classes, and the public methods of public classes."""
    for child in node.body:
        if isinstance(child, Function | ast.ClassDef) and not child.name.startswith("_"):
            yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from public(child, f"{prefix}{child.name}.")


def unannotated(function: Function) -> list[str]:
    spec = function.args
    arguments = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *filter(None, [spec.vararg, spec.kwarg])]
    return [
        argument.arg for argument in arguments if argument.annotation is None and argument.arg not in ("self", "cls")
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
class TestFile:
    def test_is_short(self, path):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 450

    def test_says_what_it_is_for(self, path):
        assert ast.get_docstring(tree(path))

    def test_documents_public_names(self, path):
        names = [name for name, node in public(tree(path)) if not ast.get_docstring(node)]
        assert [name for name in names if name.rpartition(".")[2] not in SPOKEN_FOR] == []

    def test_annotates_arguments(self, path):
        bare = {function.name: names for function in functions(tree(path)) if (names := unannotated(function))}
        assert bare == {}

    def test_functions_fit_on_a_page(self, path):
        assert {function.name: n for function in functions(tree(path)) if (n := body_lines(function)) > 70} == {}


def test_functions_are_short_on_the_whole():
    lengths = [body_lines(function) for path in FILES for function in functions(tree(path))]
    assert np.median(lengths) <= 10
    assert np.percentile(lengths, 95) <= 40


def test_no_drawer_for_odds_and_ends():
    assert [path for path in PACKAGE.rglob("*") if path.stem in {"utils", "helpers", "misc", "core", "common"}] == []
