"""Help as people read it: whole sentences, no internals of Python."""

import re

import pytest

from histoxplain.cli import VERBS, main


@pytest.fixture
def help_of(capsys, monkeypatch):
    """The help of a verb in a very wide terminal, so that nothing but its own lines breaks."""
    monkeypatch.setenv("COLUMNS", "1000")

    def ask(verb):
        assert main([*verb.split(), "--help"]) == 0
        return [line.strip() for line in capsys.readouterr().out.splitlines()]

    return ask


@pytest.mark.parametrize("verb", VERBS)
def test_help_names_no_absent_values(verb, help_of):
    lines = help_of(verb)
    assert lines[0].startswith(f"usage: histoxplain {verb} ")
    assert not [line for line in lines if re.search(r"\(default:\s*(None)?\s*\)|\{None", line)]


def test_docstrings_of_several_lines_are_one_row(help_of):
    rows = [re.sub(r"\s+", " ", line) for line in help_of("train classifier")]
    long = "--resolution INT Side in pixels at which the network looks at images; by default the data's own or, where"
    assert [row.endswith("what its authors show it.") for row in rows if row.startswith(long)] == [True]
    patience = "--patience INT Stop after this many epochs without a better validation result. (default: 8)"
    assert patience in rows


def test_names_of_values_stay_as_they_were_given(help_of):
    assert any(line.startswith("[NAME]") for line in help_of("download"))
    assert help_of("explain")[0].endswith("IMAGE...")
