"""`histoxplain concepts`, on concepts that are known on paper."""

import json

import pytest
from PIL import Image

from histoxplain.cli import main
from histoxplain.explain import generated_cases
from tests.explain.known_concepts import KnownConcepts


@pytest.fixture
def known(paint):
    object.__setattr__(paint, "concepts", KnownConcepts(paint))
    return paint


@pytest.fixture
def folder(png, tmp_path):
    for name, red in (("dark/a", 30), ("dark/b", 50), ("red/c", 230), ("red/d", 250), ("medium/e", 128)):
        png(f"data/{name}", red)
    return tmp_path / "data"


def test_writes_sheets_and_the_ranking(known, folder, png, tmp_path, capsys):
    out, image = tmp_path / "out", png("mine", 220)
    arguments = [str(folder), "--bundle", "paint", "--out", str(out), "--count", "2", "--each", "2"]
    assert main(["concepts", *arguments, "--image", str(image)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["concepts.json", "concepts.png", "mine.png"]
    with Image.open(out / "concepts.png") as everybody, Image.open(out / "mine.png") as mine:
        assert everybody.width > mine.width > 300
    ranked = json.loads((out / "concepts.json").read_text())
    assert ranked["images"] == 5
    red = ranked["ranked"]["red"][0]
    amount = (230 + 250) / 2 / 127.5 - 1
    assert (red["name"], red["weight"], red["share"]) == ("redness", 3, 1)
    assert red["importance"] == pytest.approx(3 * amount, abs=0.02)
    said = capsys.readouterr().out
    assert "5 images; the concepts alone say what the classifier says of 80.0%" in said  # all but the medium one
    assert said.splitlines()[2].split()[0] == "redness"


def test_of_one_class_and_of_generated_images(known, tmp_path, capsys):
    arguments = [
        "--bundle",
        "paint",
        "--out",
        str(tmp_path / "out"),
        "--target",
        "dark",
        "--limit",
        "12",
        "--count",
        "1",
    ]
    assert main(["concepts", "generated", *arguments]) == 0
    assert "most important for dark:\n  darkness" in capsys.readouterr().out
    cases = generated_cases(known, 4, 0)
    assert [case.label for case in cases] == [0, 1, 2, 0]
    assert [case.id for case in cases] == ["dark 1", "medium 1", "red 1", "dark 2"]


def test_refuses_in_one_line(known, folder, refused, tmp_path):
    there = ["concepts", folder, "--bundle", "paint", "--out", tmp_path / "out"]
    assert "`name` must be CONCEPT=NAME, got 'air'" in refused(*there, "--name", "air")
    assert "`bundle` must be loaded from a folder" in refused(*there, "--name", "redness=red stain")
    assert "nearest valid is 'red'" in refused(*there, "--target", "rod")
    object.__setattr__(known, "concepts", None)
    assert "must hold a concept model for concepts, got paint without" in refused(*there)
    assert not (tmp_path / "out").exists()
