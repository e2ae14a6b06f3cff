"""Run notebooks and save their outputs, with stills in place of widgets: `python notebooks/execute.py [NOTEBOOK...]`.

A saved widget is dead until its notebook runs again and would show as an error; the still beside it shows in its place.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def without_widgets(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Leave out widget views, their state, and when each cell ran."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            for kind in [kind for kind in output.get("data", {}) if "widget" in kind]:
                del output["data"][kind]
    return notebook


def execute(path: Path) -> None:
    """Run one notebook from top to bottom and save it."""
    notebook, where = nbformat.read(path, as_version=4), {"metadata": {"path": str(HERE)}}
    NotebookClient(notebook, timeout=1200, resources=where, store_widget_state=False).execute()
    nbformat.write(without_widgets(notebook), path)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    for path in [Path(name) for name in sys.argv[1:]] or sorted(HERE.glob("*.ipynb")):
        execute(path)
