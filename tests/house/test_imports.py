"""Importing is instant, and imports go only downwards."""

from __future__ import annotations

import subprocess
import sys

import pytest
from importlinter.cli import lint_imports

PROBE = """
import sys, time
start = time.perf_counter()
import histoxplain
print(time.perf_counter() - start, *(name for name in {heavy} if name in sys.modules))
"""
HEAVY = ["torch", "torchvision", "numpy", "scipy", "sklearn", "matplotlib", "PIL"]


def run(code: str) -> list[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_import_is_instant_and_light():
    answers = [run(PROBE.format(heavy=HEAVY)) for _ in range(3)]
    assert min(float(seconds) for seconds, *_ in answers) < 0.3
    assert answers[0][1:] == []


def test_the_command_line_does_not_need_torch_to_start():
    assert run("import sys, histoxplain; histoxplain.cli.main; print('torch' in sys.modules)") == ["False"]


def test_unknown_names_are_refused():
    import histoxplain

    with pytest.raises(AttributeError, match="no attribute 'attic'"):
        _ = histoxplain.attic


def test_import_contract(root, capsys):
    status = lint_imports(config_filename=str(root / "setup.cfg"), no_cache=True, no_logo=True)
    assert status == 0, capsys.readouterr().out
