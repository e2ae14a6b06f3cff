"""Open the notebooks in JupyterLab, or as pages without code.

With --pages they are served by Voila: choose one, wait until it has run (a minute), and use its sliders and buttons.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import histoxplain
from histoxplain._checks import InputError

TEMPLATE = "histoxplain"
"""Of pages, under voila/templates: Voila's own, without what it would ask of other servers."""


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain lab`."""

    folder: Path | None = None
    """Folder with the notebooks; by default `notebooks` here, or beside the package."""
    port: int = 8888
    """Port of the page; the next free one is taken if it is busy."""
    browser: bool = True
    """Open a browser window."""
    pages: bool = False
    """Show pages without code (Voila) in place of JupyterLab."""

    def __call__(self) -> None:
        """Start the server, and stay until it ends."""
        make = pages_command if self.pages else lab_command
        process = subprocess.Popen(make(find_notebooks(self.folder), self.port, self.browser), env=environment())
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
        sys.exit(code)


def find_notebooks(folder: Path | None = None) -> Path:
    """The folder with the notebooks.

    Raises:
        InputError: if there is none.
    """
    places = [folder] if folder else [Path("notebooks"), Path(histoxplain.__file__).parents[1] / "notebooks"]
    for place in places:
        if place.is_dir():
            return place.resolve()
    where = " or ".join(str(place) for place in places)
    raise InputError(f"`folder` must be a folder with notebooks, got {where}, which is missing; pass --folder.")


def lab_command(folder: Path, port: int, browser: bool) -> list[str]:
    """The command line that starts JupyterLab.

    Raises:
        ImportError: if JupyterLab is not installed.
    """
    check_installed("jupyterlab")
    command = [sys.executable, "-m", "jupyterlab", str(folder), f"--port={port}"]
    command += [] if browser else ["--no-browser"]
    return command + (["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else [])


def pages_command(folder: Path, port: int, browser: bool) -> list[str]:
    """The command line that starts Voila; needs `environment`, for the template.

    Raises:
        ImportError: if Voila is not installed.
    """
    check_installed("voila")
    command = [sys.executable, "-m", "voila", str(folder), f"--port={port}", f"--template={TEMPLATE}"]
    return command + ([] if browser else ["--no-browser"])


def environment() -> dict[str, str]:
    """Variables of this process; Jupyter then also looks for templates beside this file."""
    places = [os.environ.get("JUPYTER_PATH"), str(Path(__file__).parent)]
    return os.environ | {"JUPYTER_PATH": os.pathsep.join(filter(None, places))}


def check_installed(package: str) -> None:
    """A package of the extra `notebook` must be there.

    Raises:
        ImportError: if it is not.
    """
    if find_spec(package) is None:
        raise ImportError(f'`{package}` is needed here; install it with `pip install "histoxplain[notebook]"`.')
