"""Cut the picture with which each notebook opens out of what it last drew: `python notebooks/openings.py [NN...]`."""

from __future__ import annotations

import base64
import sys
from io import BytesIO
from pathlib import Path

import nbformat
from PIL import Image

HERE = Path(__file__).parent
WHOLE = (0.0, 0.0, 1.0, 1.0)
CUTS = {
    "01": [(2, WHOLE)],
    "02": [(5, WHOLE)],
    "03": [(0, (0, 0, 1, 0.52))],
    "04": [(0, (0, 0, 1, 0.53)), (1, (0, 0, 1, 0.53))],
    "05": [(1, WHOLE)],
    "06": [(0, (0, 0, 1, 0.507))],
    "07": [(1, WHOLE)],
    "08": [(2, (0, 0, 1, 0.26))],
    "09": [(1, (0, 0, 1, 0.505))],
}
"""Of each notebook: which of its pictures, counted from 0, and what of them: left, top, right and bottom."""
SIZE = (1000, 300)
"""The most that a picture takes, in pixels."""


def pictures(path: Path) -> list[Image.Image]:
    """All that a notebook shows, in order."""
    outputs = [output for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", [])]
    found = [output.data["image/jpeg"] for output in outputs if "image/jpeg" in output.get("data", {})]
    return [Image.open(BytesIO(base64.b64decode(one))).convert("RGB") for one in found]


def opening(path: Path) -> Image.Image:
    """What is cut of them, side by side."""
    seen = pictures(path)
    parts = []
    for which, box in CUTS[path.name[:2]]:
        whole = seen[which]
        parts.append(whole.crop([round(f * s) for f, s in zip(box, whole.size * 2)]))
    sheet = Image.new("RGB", (sum(part.width for part in parts), max(part.height for part in parts)), "white")
    for i, part in enumerate(parts):
        sheet.paste(part, (sum(earlier.width for earlier in parts[:i]), 0))
    sheet.thumbnail(SIZE, Image.Resampling.LANCZOS)
    return sheet


if __name__ == "__main__":
    (HERE / "openings").mkdir(exist_ok=True)
    for path in sorted(HERE.glob("[0-9]*.ipynb")):
        if path.name[:2] in (sys.argv[1:] or CUTS):
            opening(path).save(HERE / "openings" / f"{path.name[:2]}.jpg", quality=90)
