"""The verbs see the same bundle as the explainers do: colours, and a classifier of redness."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from PIL import Image

from histoxplain import models
from histoxplain._checks import check_one_of

_path = Path(__file__).parents[1] / "explain" / "conftest.py"
_spec = spec_from_file_location("explain_stand_ins", _path)
_stand_ins = module_from_spec(_spec)
_spec.loader.exec_module(_stand_ins)


@pytest.fixture
def paint(monkeypatch):
    """The only bundle there is, called "paint"."""
    bundle = _stand_ins.Bundle(_stand_ins.Paint(), _stand_ins.Redness(), _stand_ins.Redness(width=0.3))

    def load(name):
        check_one_of("bundle", name, ["paint"])
        return bundle

    monkeypatch.setitem(vars(models), "load_bundle", load)
    return bundle


@pytest.fixture
def png(tmp_path):
    """Write an image of one colour, named after its class folder and number."""

    def write(name, red, size=(16, 16), mode="RGB"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, red if mode == "L" else (red, 128, 128)).save(path)
        return path

    return write


@pytest.fixture
def refused(capsys):
    """Run a verb that must refuse: exit code 2, one line, nothing printed; returns the line."""
    from histoxplain.cli import main

    def run(*arguments):
        assert main([str(a) for a in arguments]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert err.startswith("histoxplain: error: ")
        return err

    return run
