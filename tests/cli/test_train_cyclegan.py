import json

import pytest
import torch
from PIL import Image

from histoxplain.cli import main
from histoxplain.models import Classifier, ClassifierConfig, save_classifier
from histoxplain.train import cyclegan as training


@pytest.fixture
def asked(monkeypatch):
    calls = []

    def train(data, classifier, out, config, *, resume):
        calls.append((str(data), str(classifier), out, config, resume))
        return out / "translator.safetensors"

    monkeypatch.setattr(training, "train_cyclegan", train)
    return calls


def test_options_reach_the_training(asked, capsys, tmp_path):
    command = ["train", "cyclegan", "d.lmdb", "--classifier", "c.safetensors", "--out", str(tmp_path)]
    assert main([*command, "--kimg", "3", "--counter-weight", "2", "--resume"]) == 0
    data, classifier, out, config, resume = asked[0]
    assert (data, classifier, out, resume) == ("d.lmdb", "c.safetensors", tmp_path, True)
    assert (config.kimg, config.counter_weight, config.cycle_weight) == (3, 2, 10)
    assert capsys.readouterr().out == f"translator -> {tmp_path / 'translator.safetensors'}\n"


def test_bad_settings_are_named(asked, capsys, tmp_path):
    command = ["train", "cyclegan", "d.lmdb", "--classifier", "c.safetensors", "--out", str(tmp_path)]
    assert main([*command, "--batch", "0"]) == 2
    assert "`batch` must be at least 1, got 0" in capsys.readouterr().err.replace("\n", " ")
    assert not asked


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Ten dark and ten bright squares, and an untrained classifier of them."""
    place = tmp_path_factory.mktemp("squares")
    for name, level in (("bright", 200), ("dark", 40)):
        (place / "images" / name).mkdir(parents=True)
        for i in range(10):
            Image.new("RGB", (32, 32), (level + i,) * 3).save(place / "images" / name / f"{name}-{i}.png")
    torch.manual_seed(0)
    config = ClassifierConfig(class_names=("bright", "dark"), architecture="squeezenet1_1", resolution=32)
    save_classifier(place / "classifier.safetensors", Classifier(config))
    return place


def test_from_training_to_evaluation(images, tmp_path, capsys, refused):
    judge, run, bundle = images / "classifier.safetensors", tmp_path / "run", tmp_path / "squares"
    command = ["train", "cyclegan", images / "images", "--classifier", judge, "--out", run, "--kimg", "0.008"]
    command += ["--width", "4", "--depth", "2", "--width-d", "4", "--depth-d", "2", "--precision", "float32"]
    assert main([str(a) for a in command]) == 0
    command = ["bundle", bundle, "--translator", run / "translator.safetensors", "--classifier", judge]
    assert main([str(a) for a in [*command, "--oracle", judge]]) == 0
    card = (bundle / "README.md").read_text()
    assert "## Translator" in card
    assert "Images seen in training: 8." in card
    assert (bundle / "translations.png").exists()
    assert not (bundle / "samples.png").exists()
    picture = images / "images" / "dark" / "dark-0.png"
    command = ["explain", picture, "--bundle", bundle, "--method", "cyclegan", "--out", tmp_path / "explained"]
    assert main([str(a) for a in command]) == 0
    found = json.loads((tmp_path / "explained/dark-0/explanation.json").read_text())
    assert found["method"] == "cyclegan"
    assert {"cycle_error", "identity_error", "alpha"} <= set(found["settings"])
    command = ["evaluate", images / "images", "--bundle", bundle, "--method", "cyclegan", "--limit", "4"]
    assert main([str(a) for a in [*command, "--out", tmp_path / "e.json"]]) == 0
    figures = json.loads((tmp_path / "e.json").read_text())
    assert figures["images"] == 4
    assert figures["cycle_error"] >= 0
    assert figures["identity_error"] >= 0
    capsys.readouterr()
    assert "hold a generator for the method latent, got squares" in refused("explain", picture, "--bundle", bundle)
    assert "hold a generator for" in refused("generate", bundle, "--out", tmp_path / "g")
    assert "hold a generator for" in refused("measure", "--bundle", bundle)


def test_a_bundle_without_anything_that_draws(images, refused, tmp_path):
    judge = images / "classifier.safetensors"
    assert "`generator` must be given, or a translator" in refused("bundle", tmp_path / "b", "--classifier", judge)
