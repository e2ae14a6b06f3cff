"""A server without files: its bundles paint in one colour, and their classifier looks at redness."""

from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from histoxplain._checks import check_one_of

_path = Path(__file__).parents[1] / "explain" / "conftest.py"
_spec = spec_from_file_location("explain_stand_ins_of_the_app", _path)
_stand_ins = module_from_spec(_spec)
_spec.loader.exec_module(_stand_ins)


@dataclass(frozen=True)
class PaintBundle(_stand_ins.Bundle):
    path: Path = Path("paint")
    info: dict[str, Any] = field(default_factory=lambda: {"title": "Colours", "licence": "CC0"})


class OneShelf:
    """Only what the server needs of a `Shelf`."""

    def __init__(self, *bundles):
        self.bundles = {bundle.name: bundle for bundle in bundles}
        self.titles = {name: f"Colours of {name}" for name in self.bundles}

    def take(self, name):
        check_one_of("bundle", name, self.bundles)
        return self.bundles[name]


def make_bundles():
    """One that paints, and one with a classifier only."""
    oracle = _stand_ins.Redness(width=0.3)
    paint = PaintBundle(_stand_ins.Paint(), _stand_ins.Redness(), oracle)
    return paint, PaintBundle(None, _stand_ins.Redness(), name="undrawn")


@pytest.fixture(scope="session")
def bundles():
    return make_bundles()


@pytest.fixture(scope="session")
def bundle(bundles):
    return bundles[0]


@pytest.fixture(scope="session")
def shelf(bundles):
    return OneShelf(*bundles)


@pytest.fixture(scope="session")
def picture_file(tmp_path_factory):
    """Write an image of one colour and a little noise, `red` from 0 to 255."""
    folder = tmp_path_factory.mktemp("pictures")

    def write(name, red=230, size=(16, 16), mode="RGB"):
        rng = np.random.default_rng(0)
        pixels = np.full((size[1], size[0], 3), (red, 128, 128)) + rng.integers(-9, 10, (size[1], size[0], 3))
        path = folder / name
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(mode).save(path)
        return path

    return write
