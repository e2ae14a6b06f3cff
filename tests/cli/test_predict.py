import csv

import pytest
import torch
from PIL import Image

from histoxplain.cli import main
from histoxplain.models.classifier import Classifier, ClassifierConfig, save_classifier


class Brightness(torch.nn.Module):
    """Logits (0, 40 * mean): an image brighter than middle grey is of class 1."""

    def forward(self, x):
        return torch.stack([torch.zeros(len(x)), 40 * x.mean(dim=(1, 2, 3))], dim=1)


@pytest.fixture
def classifier(tmp_path, monkeypatch):
    monkeypatch.setattr("histoxplain.models.classifier._build", lambda config: Brightness())
    config = ClassifierConfig(class_names=("dark", "light"), architecture="resnet18", resolution=16, channels=1)
    return save_classifier(tmp_path / "c.safetensors", Classifier(config))


@pytest.fixture
def folder(tmp_path):
    for name, colour, size in (
        ("dark/a.png", 10, (20, 30)),
        ("light/b.png", 250, (16, 16)),
        ("light/c.jpg", 20, (40, 20)),
    ):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (colour,) * 3).save(path)
    return tmp_path / "images"


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_becomes_a_table(folder, classifier, tmp_path):
    out = tmp_path / "new" / "p.csv"
    assert main(["predict", str(folder), "--classifier", str(classifier), "--out", str(out), "--batch", "2"]) == 0
    rows = table(out)
    assert list(rows[0]) == ["id", "label", "group", "predicted", "prob_dark", "prob_light"]
    assert [row["id"] for row in rows] == ["dark/a.png", "light/b.png", "light/c.jpg"]
    assert [row["label"] for row in rows] == ["dark", "light", "light"]
    assert [row["predicted"] for row in rows] == ["dark", "light", "dark"]
    assert float(rows[1]["prob_light"]) > 0.99
    assert [p.name for p in out.parent.iterdir()] == ["p.csv"]


def test_unreadable_images_are_named_and_skipped(folder, classifier, tmp_path, capsys):
    (folder / "dark" / "broken.png").write_text("no image")
    out = tmp_path / "p.csv"
    assert main(["predict", str(folder), "--classifier", str(classifier), "--out", str(out)]) == 0
    assert len(table(out)) == 3
    assert "left out dark/broken.png" in capsys.readouterr().err


def test_a_single_image_has_no_label(folder, classifier, tmp_path):
    image, out = folder / "dark" / "a.png", tmp_path / "p.csv"
    assert main(["predict", str(image), "--classifier", str(classifier), "--out", str(out)]) == 0
    assert [(row["id"], row["label"], row["predicted"]) for row in table(out)] == [("a.png", "", "dark")]


def test_bad_input_is_one_line_and_writes_nothing(folder, classifier, tmp_path, capsys):
    out = tmp_path / "p.csv"
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(classifier.read_bytes()[:100])
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.png").write_text("no image")
    for arguments in (
        [tmp_path / "nowhere", "--classifier", classifier],
        [folder, "--classifier", broken],
        [folder, "--classifier", tmp_path / "missing.safetensors"],
        [folder],
        [folder, "--classifier", classifier, "--bundle", "x"],
        [folder, "--classifier", classifier, "--split", "test"],
        [folder, "--classifier", classifier, "--batch", "0"],
        [tmp_path / "text", "--classifier", classifier],
    ):
        capsys.readouterr()
        assert main(["predict", *map(str, arguments), "--out", str(out)]) == 2
        message = capsys.readouterr().err
        assert [line.startswith("histoxplain: error: `") for line in message.splitlines() if "error" in line] == [True]
        assert not out.exists()
        assert not list(tmp_path.glob(".p.csv*"))
