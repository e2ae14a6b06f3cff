import json

import pytest
import torch
from PIL import Image

from histoxplain import InputError
from histoxplain.cli import main
from histoxplain.models import Classifier, ClassifierConfig, Vote, load_checkpoint, load_classifier, save_classifier
from histoxplain.train.vote import train_vote


@pytest.fixture
def folder(tmp_path):
    for k, name in enumerate(("blue", "red")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(20):
            Image.new("RGB", (32, 32), (40 + 170 * k, i, 200 - 170 * k)).save(tmp_path / "data" / name / f"{i}.png")
    return tmp_path / "data"


@pytest.fixture
def members(tmp_path):
    """Two classifiers that have learnt nothing."""
    paths = []
    for i, names in enumerate((("blue", "red"), ("blue", "red"), ("red", "blue"))):
        torch.manual_seed(i)
        config = ClassifierConfig(class_names=names, architecture="squeezenet1_1", resolution=32)
        paths.append(save_classifier(tmp_path / f"{i}.safetensors", Classifier(config)))
    return paths


def test_a_vote_is_calibrated_measured_and_written(folder, members, tmp_path, capsys):
    words = ["train", "vote", folder, "--members", *members[:2], "--out", tmp_path / "run", "--device", "cpu"]
    assert main([str(word) for word in words]) == 0
    figures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    vote = load_classifier(tmp_path / "run" / "classifier.safetensors")
    assert isinstance(vote, Vote)
    assert vote.temperature.item() == pytest.approx(figures["temperature"])
    assert figures["members"] == ["squeezenet1_1"] * 2
    assert figures["test"]["images"] + figures["validation"]["images"] < 40
    assert load_checkpoint(tmp_path / "run" / "classifier.safetensors").meta["data"] == figures["data"]
    assert "test: " in capsys.readouterr().out
    assert figures["validation"]["nll"] < 0.694  # members know nothing, and the vote says so: log 2 is .6931


def test_what_does_not_fit(folder, members, tmp_path):
    with pytest.raises(InputError, match="same classes"):
        train_vote(folder, members, tmp_path / "run")
    with pytest.raises(InputError, match="2 classifiers"):
        train_vote(folder, members[:1], tmp_path / "run")
    with pytest.raises(InputError, match="`data` must have the classes red, blue"):
        train_vote(folder, [members[2], members[2]], tmp_path / "run")
    both = save_classifier(tmp_path / "v.safetensors", Vote([load_classifier(path) for path in members[:2]]))
    with pytest.raises(InputError, match="single classifiers"):
        train_vote(folder, [both, members[0]], tmp_path / "run")
    assert not (tmp_path / "run").exists()
