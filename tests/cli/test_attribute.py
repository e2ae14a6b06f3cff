import json
from typing import get_args

import pytest
import torch
from PIL import Image

from histoxplain.cli import main
from histoxplain.cli.attribute import Name
from histoxplain.explain import ATTRIBUTIONS, Attribution
from histoxplain.models.classifier import Classifier, ClassifierConfig, save_classifier


class Redder(torch.nn.Module):
    """Logits (0, sum of the left half's red)."""

    def forward(self, x):
        red = x[:, 0, :, : x.shape[-1] // 2].sum((1, 2))
        return torch.stack([torch.zeros_like(red), red], 1)


@pytest.fixture
def classifier(tmp_path, monkeypatch):
    monkeypatch.setattr("histoxplain.models.classifier._build", lambda config: Redder())
    config = ClassifierConfig(class_names=("dull", "red"), architecture="resnet18", resolution=16)
    return save_classifier(tmp_path / "c.safetensors", Classifier(config))


def test_knows_the_methods_of_the_library():
    assert get_args(Name) == tuple(ATTRIBUTIONS)


def test_writes_pictures_json_and_a_report(tmp_path, png, classifier, capsys):
    png("a/red", 250), png("b/red", 10)
    out = tmp_path / "out"
    command = ["attribute", tmp_path / "a", tmp_path / "b" / "red.png", "--classifier", classifier, "--target", "red"]
    command += ["--method", "occlusion", "integrated-gradients", "--baseline", "0", "--measure", "--out", out]
    assert main([str(word) for word in command]) == 0
    assert "4 maps of 2 images" in capsys.readouterr().out
    entries = json.loads((out / "attributions.json").read_text())
    assert [(one["case_id"], one["method"]) for one in entries] == [
        ("red", "occlusion"),
        ("red", "integrated-gradients"),
        ("red-2", "occlusion"),
        ("red-2", "integrated-gradients"),
    ]
    assert {one["target_class"] for one in entries} == {"red"}
    assert set(entries[0]["faithfulness"]) == {"deletion", "insertion", "random_deletion", "random_insertion"}
    with Image.open(out / "red-2" / "occlusion" / "overlay.png") as overlay:
        assert overlay.size == (16, 16)
    map = Attribution.load(out / "red" / "integrated-gradients").map
    assert map[:, :8].min() > 0
    assert map[:, 8:].abs().max() == 0
    page = (out / "report.html").read_text()
    assert page.count("<section>") == 2
    assert "http" not in page.replace("http-equiv", "")


def test_explains_the_classifier_of_a_bundle(tmp_path, png, paint):
    out = tmp_path / "out"
    command = ["attribute", png("red", 250), "--bundle", "paint", "--method", "occlusion", "--out", out]
    assert main([str(word) for word in command]) == 0
    found = Attribution.load(out / "red" / "occlusion")
    assert (found.target_name, found.settings["bundle"]) == ("red", "paint")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--target", "blue"], "`target` must be one of dull, red"),
        (["--baseline", "fog"], "`baseline` must be one of blur, mean"),
        (["--layer", "conv"], "`classifier` must have a layer with a map of the image"),
        (["--bundle", "paint"], "`classifier` must be given either by --bundle or by --classifier, got 2"),
    ],
)
def test_refuses_in_one_line(tmp_path, png, classifier, refused, words, message):
    assert message in refused("attribute", png("a", 9), "--classifier", classifier, "--out", tmp_path / "out", *words)


def test_a_wrong_image_stops_before_anything_is_written(tmp_path, png, classifier, refused):
    out = tmp_path / "out"
    wide = png("wide", 9, size=(30, 16))
    refused("attribute", png("a", 9), wide, "--classifier", classifier, "--method", "occlusion", "--out", out)
    assert not out.exists()


def test_other_peoples_folders_are_safe(tmp_path, png, classifier, refused):
    kept = tmp_path / "out" / "a" / "occlusion" / "thesis.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("precious")
    line = refused(
        "attribute", png("a", 9), "--classifier", classifier, "--method", "occlusion", "--out", tmp_path / "out"
    )
    assert "`folder` must be new or hold an attribution" in line
    assert kept.read_text() == "precious"
