import json

import pytest
import torch
from PIL import Image

from histoxplain import InputError
from histoxplain.models import load_classifier
from histoxplain.train import classifier as training
from histoxplain.train.classifier import Progress, train_classifier
from histoxplain.train.config_classifier import ClassifierTraining

SMALL = {
    "architecture": "squeezenet1_1",
    "resolution": 32,
    "batch": 8,
    "precision": "float32",
    "learning_rate": 2e-3,
    "average": 0.5,
    "label_smoothing": 0.0,
    "colour": 0.1,
}


@pytest.fixture
def folder(tmp_path):
    """Red and blue squares: any network that learns at all tells them apart."""
    for name, colour in (("blue", (20, 20, 220)), ("red", (220, 20, 20))):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(20):
            shade = tuple(min(255, c + i) for c in colour)
            Image.new("RGB", (32, 32), shade).save(tmp_path / "data" / name / f"{i}.png")
    return tmp_path / "data"


def weights(run):
    return load_classifier(run / "classifier.safetensors").state_dict()


def test_learns_to_tell_red_from_blue(folder, tmp_path):
    out = tmp_path / "run"
    figures = train_classifier(folder, out, ClassifierTraining(epochs=6, **SMALL), quiet=True)
    assert figures["test"]["balanced_accuracy"] == 1.0
    assert figures["training_images"] + figures["validation"]["images"] + figures["test"]["images"] == 40
    assert json.loads((out / "metrics.json").read_text()) == figures
    assert {p.name for p in out.iterdir()} == {
        "classifier.safetensors",
        "config.json",
        "log.jsonl",
        "metrics.json",
        "state.pt",
    }
    classifier = load_classifier(out / "classifier.safetensors")
    red = torch.tensor([1.0, -1.0, -1.0]).reshape(1, 3, 1, 1).expand(1, 3, 32, 32)
    assert classifier.class_names == ("blue", "red")
    assert classifier(red).argmax().item() == 1


def test_resumes_exactly_in_the_middle_of_an_epoch(folder, tmp_path, monkeypatch):
    config = ClassifierTraining(epochs=2, snapshot_minutes=0, **SMALL)
    train_classifier(folder, tmp_path / "whole", config, quiet=True)
    steps = 0
    step = training._Training._step

    def interrupted(self, x, labels, warm_up):
        nonlocal steps
        steps += 1
        if steps == 6:
            raise KeyboardInterrupt
        return step(self, x, labels, warm_up)

    with monkeypatch.context() as patch:
        patch.setattr(training._Training, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_classifier(folder, tmp_path / "halves", config, quiet=True)
    train_classifier(folder, tmp_path / "halves", config, resume=True, quiet=True)
    whole, halves = weights(tmp_path / "whole"), weights(tmp_path / "halves")
    assert all(torch.equal(whole[name], halves[name]) for name in whole)
    logs = [(tmp_path / run / "log.jsonl").read_text().splitlines() for run in ("whole", "halves")]
    assert len(logs[0]) == len(logs[1]) == 2
    assert [json.loads(line)["nll"] for line in logs[0]] == [json.loads(line)["nll"] for line in logs[1]]


def test_does_not_touch_the_callers_randomness(folder, tmp_path):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    train_classifier(folder, tmp_path / "run", ClassifierTraining(epochs=1, **SMALL), quiet=True)
    assert torch.equal(before, torch.get_rng_state())


def test_patience_and_learning_rate_follow_the_validation_split():
    config = ClassifierTraining(epochs=50, patience=3, reduce_after=2, reduce_by=0.5)
    at, results = Progress(), [(0.8, 0.5), (0.9, 0.4), (0.9, 0.6), (0.85, 0.45), (0.7, 0.41)]
    better = []
    for accuracy, loss in results:
        at.epoch += 1
        better.append(at.judge({"balanced_accuracy": accuracy, "nll": loss}, config))
        assert at.done(config) == (at.epoch == 5)
    assert better == [True, True, False, False, False]
    assert at.best_epoch == 2
    assert at.rate == 0.5


def test_rare_classes_weigh_more():
    assert training._class_weights(torch.tensor([0, 0, 0, 1]), 2).tolist() == pytest.approx([2 / 3, 2.0])


def test_bad_data_is_one_clear_line(folder, tmp_path):
    config = ClassifierTraining(epochs=1, **SMALL)
    with pytest.raises(InputError, match="existing file or folder"):
        train_classifier(tmp_path / "nowhere", tmp_path / "run", config)
    (folder / "green").mkdir()
    with pytest.raises(InputError, match="none for green"):
        train_classifier(folder, tmp_path / "run", config)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"label_smoothing": 1.0}, {"noise": -1.0}, {"learning_rate": 0.0}])
def test_bad_settings(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        ClassifierTraining(**wrong)
