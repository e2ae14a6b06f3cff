"""Open the notebooks in JupyterLab."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import histoxplain
from histoxplain._checks import InputError


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain lab`."""

    folder: Path | None = None
    """Folder with the notebooks; by default `notebooks` here, or beside the package."""
    port: int = 8888
    """Port of the page; the next free one is taken if it is busy."""
    browser: bool = True
    """Open a browser window."""

    def __call__(self) -> None:
        """Start JupyterLab, and stay until it ends."""
        command = lab_command(find_notebooks(self.folder), self.port, self.browser)
        process = subprocess.Popen(command)
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
    if find_spec("jupyterlab") is None:
        raise ImportError('`jupyterlab` is needed here; install it with `pip install "histoxplain[notebook]"`.')
    command = [sys.executable, "-m", "jupyterlab", str(folder), f"--port={port}"]
    command += [] if browser else ["--no-browser"]
    return command + (["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else [])
