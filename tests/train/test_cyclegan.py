import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import histoxplain
from histoxplain import InputError
from histoxplain.data import fingerprint, open_source
from histoxplain.models import Classifier, ClassifierConfig, load_checkpoint, load_translator, save_classifier
from histoxplain.train import CycleGANConfig, CycleGANTraining, train_cyclegan
from histoxplain.train import cyclegan as training_file
from histoxplain.train.translation_run import measure_translator, save_translations

TINY = CycleGANConfig(batch=4, width=4, depth=2, width_d=4, depth_d=2, device="cpu", precision="float32", validation=4)


class Brightness(nn.Module):
    """Bright or dark: the logits are -4 and 4 times the mean."""

    class_names, channels, resolution = ("dark", "bright"), 1, 16
    config = SimpleNamespace(architecture="brightness")

    def forward(self, x):
        mean = 4 * x.mean((1, 2, 3))
        return torch.stack([-mean, mean], 1)


class Shades:
    """Noisy images about -0.4 (dark) and 0.4 (bright), as `LabelledPixels` would give them."""

    resolution = 16

    def __init__(self, count=12, seed=0):
        draw = torch.Generator().manual_seed(seed)
        self.labels = (torch.arange(count) % 3 > 0).long()  # twice as many bright ones
        self.pixels = (0.8 * self.labels - 0.4)[:, None, None, None] + torch.randn(count, 1, 16, 16, generator=draw) / 9

    def __len__(self):
        return len(self.labels)

    def batch(self, places):
        return self.pixels[places].clamp(-1, 1), self.labels[places]


@pytest.fixture
def begin():
    splits = {"train": Shades(), "validation": Shades(6, 1)}
    return lambda **changes: CycleGANTraining(splits, Brightness(), replace(TINY, **changes))


def test_translations_come_to_change_the_classifiers_mind(begin):
    training = begin(lr=2e-3, counter_weight=5.0, ema_kimg=0.01, kimg=10)
    before = training.measure()
    for _ in range(40):
        training.step()
    figures, after = training.report(1.0, 1.0), training.measure()
    assert before["flip_rate"] == 0
    assert after["flips"] == {"bright to dark": 1.0, "dark to bright": 1.0}
    assert figures["counter"] < 2  # where nothing is flipped it is 2 (1 - p)^2, p near 0


def test_the_objective_is_the_formula(begin):
    training = begin(counter_views=0.0, counter_weight=0.7, cycle_weight=4.0)
    with torch.no_grad():
        for network in training.T.networks:
            network.out.weight.normal_(0, 0.1)
    T, D, C = training.T, training.D, training.classifier
    x, s = training.splits["train"].batch(torch.arange(4))
    t = 1 - s
    y = T(x, t)
    p = C(y).softmax(1)
    wanted = nn.functional.one_hot(t, 2)
    loss = (
        (D(y, t) - 1).square().mean()
        + 4.0 * (T(y, s) - x).abs().mean()
        + 0.4 * (T(x, s) - x).abs().mean()
        + 0.7 * (p - wanted).square().sum(1).mean()
    )
    expected = torch.autograd.grad(loss, list(T.parameters()))
    training.opt_t.step = lambda: None
    training._update_translator(x, s, t)
    for parameter, gradient in zip(T.parameters(), expected):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-6, rtol=1e-4)


def test_both_discriminators_see_reals_and_fakes(begin):
    training, seen = begin(), []
    judge = training.D.forward
    training.D.forward = lambda x, classes: seen.append((x, classes.tolist())) or judge(x, classes)
    with torch.no_grad():
        for network in training.T.networks:
            network.out.bias.fill_(0.1)  # whatever is translated is brighter
    training.step()
    (_, asked), (reals, own), (fakes, made) = seen  # the translator's step, then the discriminators'
    known, labels = training.splits["train"].batch(torch.arange(12))
    places = [int((known - one).abs().sum((1, 2, 3)).argmin()) for one in reals]
    assert torch.equal(known[places], reals)
    assert labels[places].tolist() == own
    assert sorted(own) == sorted(made) == [0, 0, 1, 1]  # as many of each class
    assert made == asked == [1 - k for k in own]
    assert not any((known - one).abs().sum((1, 2, 3)).min() < 1e-3 for one in fakes)
    assert all(network[0].weight.grad.abs().sum() > 0 for network in training.D.networks)


def test_the_classifier_is_frozen_and_discriminators_learn_to_tell(begin):
    training = begin(lr=2e-3, cycle_weight=0.0, counter_weight=0.0)
    training.opt_t.step = lambda: None  # the translator stays bad
    with torch.no_grad():
        for network in training.T.networks:
            network.out.bias.fill_(0.2)
    for _ in range(30):
        training.step()
    figures = training.report(1.0, 1.0)
    assert "counter" not in figures
    assert figures["real"] > figures["fake"] + 0.1


def test_views_and_noise_keep_the_gradient(begin):
    training = begin(counter_views=1.0, cycle_noise=0.1, counter_temperature=2.0)
    training.step()
    assert all(p.grad.isfinite().all() for p in training.T.parameters() if p.grad is not None)


@pytest.mark.parametrize("changes", [{}, {"joint": True, "shrink": 2, "counter_interval": 2}])
def test_a_resumed_training_ends_with_the_same_bits(begin, tmp_path, changes):
    whole = begin(buffer=3, **changes)
    for _ in range(7):
        whole.step()
    first = begin(buffer=3, **changes)
    for _ in range(4):
        first.step()
    first.save(tmp_path, log_lines=0)
    second = begin(buffer=3, **changes)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(3):
        second.step()
    assert all(torch.equal(a, b) for a, b in zip(whole.tensors(), second.tensors()))
    assert whole.report(1, 1) == second.report(1, 1)


def test_three_classes_share_one_translator(begin):
    class Three(Brightness):
        class_names = ("dark", "medium", "bright")

        def forward(self, x):
            mean = 4 * x.mean((1, 2, 3))
            return torch.stack([-mean, mean * 0, mean], 1)

    shades = Shades()
    shades.labels = torch.arange(12) % 3
    training = CycleGANTraining({"train": shades, "validation": shades}, Three(), replace(TINY, batch=6))
    training.step()
    assert training.T.config.joint
    assert len(training.measure()["flips"]) == 6


def test_bfloat16_trains_as_float32_does(begin):
    exact, reduced = (begin(precision=precision, lr=2e-3) for precision in ("float32", "bfloat16"))
    for training in (exact, reduced):
        for _ in range(6):
            training.step()
    one, other = (training.report(1.0, 1.0) for training in (exact, reduced))
    assert all(p.dtype == torch.float32 for p in reduced.T.parameters())
    assert not all(torch.equal(a, b) for a, b in zip(exact.tensors(), reduced.tensors()))
    for name in ("cycle", "identity", "gan", "loss_d", "counter"):
        assert other[name] == pytest.approx(one[name], rel=0.15, abs=0.01)


def test_wandb_offline_keeps_its_files_in_the_run(folder, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    config = replace(TINY, kimg=0.004, wandb=True)
    train_cyclegan(folder / "images", folder / "classifier.safetensors", tmp_path / "run", config, quiet=True)
    assert list((tmp_path / "run/wandb").glob("offline-run-*/*.wandb"))


def test_every_class_is_in_a_batch(begin):
    with pytest.raises(InputError, match="`batch` must be at least 2, an image of each class, got 1"):
        begin(batch=1)


def test_measures_of_a_known_translator():
    class Shift(nn.Module):
        class_names = ("dark", "bright")

        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, x, target):
            return x + (0.5 * (2 * target - 1))[:, None, None, None]

    x = torch.tensor([-0.3, 0.3, -0.7])[:, None, None, None].expand(-1, 1, 8, 8)
    found = measure_translator(Shift(), Brightness(), x, torch.tensor([0, 1, 0]))
    assert found["flips"] == {"bright to dark": 1.0, "dark to bright": 0.5}  # -0.7 + 0.5 stays dark
    assert abs(found["flip_rate"] - 2 / 3) < 1e-6
    assert abs(found["cycle"]) < 1e-6
    assert abs(found["identity"] - 0.5) < 1e-6
    assert abs(found["l1"] - 0.5) < 1e-6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two folders of grey images, and the checkpoint of an untrained classifier of their classes."""
    place, draw = tmp_path_factory.mktemp("shades"), np.random.default_rng(0)
    for k, name in enumerate(("bright", "dark")):
        (place / "images" / name).mkdir(parents=True)
        for i in range(10):
            pixels = draw.integers(0, 60, (32, 32)) + (180 if k == 0 else 0)
            Image.fromarray(pixels.astype(np.uint8)).save(place / "images" / name / f"{name}-{i}.png")
    config = ClassifierConfig(class_names=("bright", "dark"), architecture="squeezenet1_1", resolution=32, channels=3)
    save_classifier(place / "classifier.safetensors", Classifier(config))
    return place


def test_a_run_leaves_its_files_and_goes_on_exactly(folder, tmp_path, monkeypatch):
    config = replace(TINY, kimg=0.024, tick_kimg=0.008, snapshot_kimg=0.012)
    train = lambda out, **more: train_cyclegan(  # noqa: E731
        folder / "images", folder / "classifier.safetensors", out, config, quiet=True, **more
    )
    path = train(tmp_path / "whole")
    step, steps = CycleGANTraining.step, iter(range(9))

    def interrupted(self):
        if next(steps) == 4:
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(training_file.CycleGANTraining, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts")
    monkeypatch.undo()
    again = train(tmp_path / "parts", resume=True)
    whole, parts = load_translator(path, "cpu", "float32"), load_translator(again, "cpu", "float32")
    assert whole.class_names == ("bright", "dark")
    written = load_checkpoint(path)
    assert written.version == histoxplain.__version__
    assert written.meta["data"] == fingerprint(open_source(folder / "images"))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))
    lines = [json.loads(line) for line in (tmp_path / "parts/log.jsonl").read_text().splitlines()]
    assert lines[-1]["kimg"] == 0.024
    assert {"config.json", "state.pt", "translator.safetensors"} < {p.name for p in (tmp_path / "parts").iterdir()}
    assert list((tmp_path / "parts").glob("samples-*.png"))


def test_what_does_not_fit_is_one_line(folder, tmp_path):
    config = ClassifierConfig(class_names=("a", "b"), architecture="squeezenet1_1", resolution=32, channels=3)
    other = save_classifier(tmp_path / "other.safetensors", Classifier(config))
    with pytest.raises(InputError, match=r"know the classes of the data \(bright, dark\), got a, b"):
        train_cyclegan(folder / "images", other, tmp_path / "out", TINY)
    with pytest.raises(InputError, match="at least 2 classes"):
        train_cyclegan(folder / "images" / "dark", folder / "classifier.safetensors", tmp_path / "out", TINY)
    grey = save_classifier(
        tmp_path / "grey.safetensors", Classifier(replace(config, class_names=("bright", "dark"), channels=1))
    )
    with pytest.raises(InputError, match="take 3 channels, as the data have, got 1"):
        train_cyclegan(folder / "images", grey, tmp_path / "out", TINY)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 0}, "batch"),
        ({"counter_views": 2}, "counter_views"),
        ({"kimg": 0}, "kimg"),
        ({"buffer": -1}, "buffer"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(InputError, match=message):
        replace(TINY, **changes)


def test_the_picture_shows_the_way_there_and_back(begin, tmp_path):
    training = begin()
    x, labels = training.examples(2)
    path = save_translations(tmp_path / "s.png", training.ema, x, labels)
    with Image.open(path) as picture:
        assert picture.size == (2 * 16, 6 * 16)
