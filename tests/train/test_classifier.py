import json
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import histoxplain
from histoxplain import InputError
from histoxplain.data import fingerprint, open_source
from histoxplain.models import load_checkpoint, load_classifier
from histoxplain.models.architectures import efficientnet_lite0
from histoxplain.train import calibration
from histoxplain.train import classifier_run as training
from histoxplain.train.classifier import train_classifier
from histoxplain.train.classifier_run import Progress
from histoxplain.train.config_classifier import ClassifierTraining
from histoxplain.train.imbalance import balanced_order, class_weights
from histoxplain.train.pixels import LabelledPixels

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
    step = training.ClassifierRun._step

    def interrupted(self, x, labels, warm_up):
        nonlocal steps
        steps += 1
        if steps == 6:
            raise KeyboardInterrupt
        return step(self, x, labels, warm_up)

    with monkeypatch.context() as patch:
        patch.setattr(training.ClassifierRun, "_step", interrupted)
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
    assert class_weights(torch.tensor([0, 0, 0, 1]), 2).tolist() == pytest.approx([2 / 3, 2.0])


def test_balanced_sampling_shows_classes_equally_often(rng):
    labels = torch.tensor([0] * 80 + [1] * 15 + [2] * 6)
    order = balanced_order(labels, rng)
    counts = torch.bincount(labels[order], minlength=3)
    assert len(order) == len(labels)
    assert counts.max() - counts.min() <= 1
    looks = torch.bincount(order, minlength=len(labels))
    assert looks[labels == 0].max() == 1
    assert set(looks[labels == 2].tolist()) == {5, 6}  # 33 or 34 looks at 6 images
    assert not torch.equal(order, balanced_order(labels, rng))


def test_balanced_sampling_replaces_weights(folder, tmp_path, monkeypatch):
    logits, labels = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.5, 0.0]]), torch.tensor([0, 0, 1])
    for balanced, weight in ((True, None), (False, torch.tensor([1.0, 9.0]))):
        config = ClassifierTraining(balanced_sampling=balanced, label_smoothing=0.0)
        run = SimpleNamespace(config=config, weights=torch.tensor([1.0, 9.0]))
        expected = F.cross_entropy(logits, labels, weight)
        assert torch.allclose(training.ClassifierRun._loss(run, logits, labels), expected)
    drawn = []
    monkeypatch.setattr(training, "balanced_order", lambda *given: drawn.append(1) or balanced_order(*given))
    config = ClassifierTraining(epochs=2, balanced_sampling=True, **SMALL)
    train_classifier(folder, tmp_path / "run", config, quiet=True)
    assert len(drawn) == 2


def test_a_stacked_ensemble_trains_its_head_on_frozen_installed_trunks(folder, tmp_path):
    settings = {**SMALL, "architecture": "efficientnet_lite0+squeezenet1_1"}
    with pytest.raises(InputError, match="fully connected"):
        train_classifier(folder, tmp_path / "no", ClassifierTraining(epochs=1, **settings), quiet=True)
    settings["architecture"] = "efficientnet_lite0+shufflenet_v2_x0_5"
    figures = train_classifier(folder, tmp_path / "run", ClassifierTraining(epochs=2, **settings), quiet=True)
    assert figures["start"]["shufflenet_v2_x0_5"] == "random weights"
    trained = load_classifier(tmp_path / "run" / "classifier.safetensors")
    installed = efficientnet_lite0()
    assert torch.equal(trained.network.trunks[0]._conv_stem.weight, installed._conv_stem.weight)
    assert torch.equal(trained.network.trunks[0]._bn1.running_var, installed._bn1.running_var)
    assert figures["temperature"] == pytest.approx(trained.temperature.item())
    assert figures["validation"]["balanced_accuracy"] > 0.5


def test_checkpoints_say_what_they_were_made_of(folder, tmp_path):
    train_classifier(folder, tmp_path / "run", ClassifierTraining(epochs=1, **SMALL), quiet=True)
    checkpoint = load_checkpoint(tmp_path / "run" / "classifier.safetensors")
    assert checkpoint.version == histoxplain.__version__
    assert checkpoint.meta["start"] == {"squeezenet1_1": "random weights"}
    assert checkpoint.meta["data"] == fingerprint(open_source(folder))
    Image.new("RGB", (32, 32), (220, 20, 21)).save(folder / "red" / "0.png")
    assert checkpoint.meta["data"] != fingerprint(open_source(folder))


def test_never_looks_at_the_test_split_before_the_end(folder, tmp_path, monkeypatch):
    seen = []
    whole = training.predict_logits

    def noted(classifier, pixels, *more, **options):
        seen.append(pixels)
        return whole(classifier, pixels, *more, **options)

    for module in (training, calibration):
        monkeypatch.setattr(module, "predict_logits", noted)
    batches = []
    read = LabelledPixels.batch
    monkeypatch.setattr(LabelledPixels, "batch", lambda self, places: batches.append(self) or read(self, places))
    train_classifier(folder, tmp_path / "run", ClassifierTraining(epochs=2, **SMALL), quiet=True)
    *before, last = seen
    assert len(before) == 3  # two epochs and the calibration
    assert all(pixels is before[0] for pixels in before)
    assert last is not before[0]
    assert batches.index(last) == len(batches) - 1  # once, after everything else
    assert not {last.source.ids[i] for i in last.indices} & {last.source.ids[i] for i in before[0].indices}


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
