"""What a reader of the notebooks may expect, checked without running them (nbval runs them)."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
MACHINE_PATH = re.compile(r"(?:^|[\s'\"(=])(/(?:home|root|work|tmp|Users|private|mnt|opt|var|usr)/\S*|[A-Z]:\\\S*)")
PICTURES = {"image/png", "image/jpeg", "image/svg+xml"}


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(path):
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]


def source(cell):
    return "".join(cell["source"])


def python(cell):
    return "\n".join("" if line.startswith(("%", "!")) else line for line in source(cell).splitlines())


def texts(output):
    """The readable parts of an output: streams, tracebacks and everything but pictures."""
    yield "".join(output.get("text", []))
    yield "\n".join(output.get("traceback", []))
    for kind, data in output.get("data", {}).items():
        if kind not in PICTURES:
            yield "".join(data) if isinstance(data, list) else json.dumps(data)


def test_there_are_notebooks():
    names = [
        "01_explore_latent_space",
        "02_counterfactuals",
        "03_directions",
        "04_trust_and_compare",
        "05_chest_xray_cyclegan",
        "06_attributions",
        "07_inpainting",
        "08_concepts",
        "09_bring_your_own_data",
    ]
    assert [path.stem for path in NOTEBOOKS] == names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_is_small(self, path):
        assert path.stat().st_size < 1_000_000

    def test_begins_with_prose_and_says_what_will_be_seen(self, path):
        first = read(path)["cells"][0]
        assert first["cell_type"] == "markdown"
        assert source(first).startswith("# ")
        assert "see" in source(first).lower()

    def test_opens_with_a_picture(self, path):
        (picture,) = re.findall(r"!\[[^\]]{20,}\]\(([^)]+)\)", source(read(path)["cells"][0]))
        assert (path.parent / picture).stat().st_size < 150_000

    def test_leads_to_its_neighbours(self, path):
        last, place = source(read(path)["cells"][-1]), NOTEBOOKS.index(path)
        neighbours = [*NOTEBOOKS[max(place - 1, 0) : place], *NOTEBOOKS[place + 1 : place + 2]]
        assert [other.name for other in neighbours if f"]({other.name})" not in last] == []

    def test_has_its_parameters_in_one_cell(self, path):
        tagged = [cell for cell in code_cells(path) if "parameters" in cell["metadata"].get("tags", [])]
        assert len(tagged) == 1
        assert "BUNDLE" in source(tagged[0])

    def test_defines_nothing_long(self, path):
        trees = [ast.parse(python(cell)) for cell in code_cells(path)]
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        long = [n.name for t in trees for n in ast.walk(t) if isinstance(n, kinds) and n.end_lineno - n.lineno >= 5]
        assert long == []

    def test_was_run_from_top_to_bottom(self, path):
        counts = [cell["execution_count"] for cell in code_cells(path)]
        assert counts == list(range(1, len(counts) + 1))

    def test_shows_pictures_and_no_errors(self, path):
        outputs = [output for cell in code_cells(path) for output in cell["outputs"]]
        assert sum(bool(PICTURES & set(output.get("data", {}))) for output in outputs) >= 3
        assert [output["output_type"] for output in outputs if output["output_type"] == "error"] == []
        assert [output for output in outputs if output.get("name") == "stderr"] == []

    def test_tells_nothing_about_the_machine(self, path):
        cells = read(path)["cells"]
        told = [text for cell in cells for output in cell.get("outputs", []) for text in texts(output)]
        told += [source(cell) for cell in cells]
        assert [found for text in told for found in MACHINE_PATH.findall(text)] == []

    def test_saves_stills_in_place_of_widgets(self, path):
        assert "widgets" not in read(path)["metadata"]
        kinds = [set(output.get("data", {})) for cell in code_cells(path) for output in cell["outputs"]]
        assert [kind for kind in kinds if any("widget" in name for name in kind)] == []

    def test_some_text_is_compared_with_what_is_committed(self, path):
        assert any("# NBVAL_CHECK_OUTPUT" in source(cell) for cell in code_cells(path))
