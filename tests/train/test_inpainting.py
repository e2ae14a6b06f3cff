import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from PIL import Image, ImageOps
from torch import nn

from histoxplain import InputError
from histoxplain.data import ImageLMDB
from histoxplain.data.synthetic import prepare_tissue
from histoxplain.models import Classifier, ClassifierConfig, load_inpainter, save_classifier
from histoxplain.train import InpaintingConfig, InpaintingTraining, train_inpainting
from histoxplain.train import inpainting as training_file
from histoxplain.train.inpainting import check_finds_both, normal_class
from histoxplain.train.inpainting_losses import log_probabilities, total_variation
from histoxplain.train.inpainting_run import measure_inpainter, save_counterfactuals

TINY = InpaintingConfig(
    batch=4,
    channel_base=4,
    depth=2,
    width_d=4,
    skips=(1,),
    device="cpu",
    precision="float32",
    validation=4,
    generator_interval=1,
)


class Spots(nn.Module):
    """Abnormal where any pixel is bright: the logits are 0 and 20 times (the brightest pixel - 0.5)."""

    class_names, channels, resolution = ("healthy", "spotted"), 1, 16
    config = SimpleNamespace(architecture="spots")

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        bright = 20 * (x.flatten(1).amax(1) - 0.5)
        return torch.stack([torch.zeros_like(bright), bright], 1)


class Fields:
    """Dark noise, with a bright square of 4 x 4 in every second image, as `LabelledPixels` would give them."""

    resolution = 16

    def __init__(self, count=12, seed=0):
        draw = torch.Generator().manual_seed(seed)
        self.labels = (torch.arange(count) % 2).long()
        self.pixels = -0.5 + torch.randn(count, 1, 16, 16, generator=draw) / 20
        for i, (top, left) in enumerate(torch.randint(1, 11, (count, 2), generator=draw).tolist()):
            if self.labels[i]:
                self.pixels[i, :, top : top + 4, left : left + 4] = 0.8

    def __len__(self):
        return len(self.labels)

    def batch(self, places):
        return self.pixels[places], self.labels[places]


@pytest.fixture
def begin():
    splits = {"train": Fields(64), "validation": Fields(8, 1)}
    return lambda **changes: InpaintingTraining(splits, Spots(), replace(TINY, **changes))


def test_spots_disappear_and_the_rest_stays(begin):
    training = begin(lr=3e-3, ema_kimg=0.05, output="atanh", rec_weight=5.0, adv_weight=0.1, batch=8)
    before = training.measure()
    for _ in range(150):
        training.step()
    after = training.measure()
    assert before["validity"] == 0
    assert after["validity"] == 1
    x = training.splits["validation"].pixels
    with torch.no_grad():
        change = (training.ema(x) - x).abs()
    spot = x > 0.5
    assert change[spot].mean() > 10 * change[~spot].mean()
    assert after["change_normal"] < 0.3 * after["change_abnormal"]


@pytest.mark.parametrize(("kind", "temper"), [("bce", 1.0), ("mse", 2.0), ("hinge", 0.5)])
def test_the_objective_is_the_formula(begin, kind, temper):
    training = begin(adversarial=kind, temper=temper, kl_weight=3.0, rec_weight=2.0, tv_weight=0.7, adv_weight=0.5)
    nn.init.normal_(training.G.out.weight, 0, 0.2)
    G, D, C = training.G, training.D.eval(), training.classifier  # evaluated, spectral norms stay as they are
    x = training.splits["train"].batch(torch.arange(4))[0]
    f = log_probabilities(C(x) / temper, 0)[:, 1].exp()
    assert (f > 0.5).tolist() == [False, True, False, True]
    desired = torch.where(f > 0.5, 0.0, f)
    before, after = (f > 0.5).long(), torch.zeros(4, dtype=torch.long)
    y = G(x, after)
    p = log_probabilities(C(y) / temper, 0)
    judged = D(y, after)
    wanted = torch.stack([1 - desired, desired], 1)
    adversarial = {
        "bce": nn.functional.softplus(-judged).mean(),
        "mse": (judged - 1).square().mean(),
        "hinge": -judged.mean(),
    }
    loss = (
        0.5 * adversarial[kind]
        + 3.0 * nn.functional.kl_div(p, wanted, reduction="batchmean")
        + 2.0 * ((x - y).abs().mean() + (x - G(y, before)).abs().mean())
        + 0.7 * total_variation((x - y).abs())
    )
    expected = torch.autograd.grad(loss, list(G.parameters()))
    training.opt_g.step = lambda: None
    training._update_generator(x, f.detach(), desired.detach(), before, after)
    size = torch.cat([gradient.flatten() for gradient in expected]).norm()  # that of a bias before a norm is but noise
    for parameter, gradient in zip(G.parameters(), expected):
        assert (parameter.grad - gradient).norm() < 1e-3 * size


def test_the_discriminator_sees_reals_as_found_and_counterfactuals_as_desired(begin):
    training, seen = begin(), []
    judge = training.D.forward
    training.D.forward = lambda x, condition: seen.append((x, condition.tolist())) or judge(x, condition)
    training.step()
    (_, asked), (both, conditions) = seen  # the generator's step, then the discriminator's
    assert asked == [0, 0, 0, 0]
    assert conditions == [0, 1, 0, 1, 0, 0, 0, 0]  # classes in turn
    known = training.splits["train"].pixels
    assert all((known - one).abs().flatten(1).amax(1).min() == 0 for one in both[:4])
    opposite = begin(desired="opposite")
    opposite.D.forward = lambda x, condition: seen.append((x, condition.tolist())) or judge(x, condition)
    opposite.step()
    assert seen[-1][1] == [0, 1, 0, 1, 1, 0, 1, 0]


def test_the_generator_steps_once_in_so_many(begin):
    training, steps = begin(generator_interval=3), []
    update = training.opt_g.step
    training.opt_g.step = lambda: steps.append(training.steps) or update()
    for _ in range(7):
        training.step()
    assert steps == [0, 3, 6]


def test_presets_are_the_published_ones():
    synthetic, clinical, singla = (
        InpaintingConfig(preset=name).settled() for name in ("synthetic", "clinical", "singla")
    )
    assert (synthetic.kl_weight, synthetic.rec_weight, synthetic.tv_weight) == (5, 1, 0.05)
    assert (clinical.kl_weight, clinical.rec_weight, clinical.tv_weight) == (1, 1, 5e-5)
    for config in (synthetic, clinical):
        assert (config.desired, config.output, config.skips) == ("normal", "tanh", (1, 2, 3, 4))
        assert (config.lr, config.generator_interval, config.batch) == (2e-4, 5, 16)
    assert (singla.desired, singla.output, singla.skips, singla.tv_weight) == ("opposite", "image", (), 0)
    assert InpaintingConfig(preset="clinical", kl_weight=7.0).settled().kl_weight == 7


@pytest.mark.parametrize("changes", [{}, {"generator_interval": 2, "augment": 1.0, "views": 1.0, "orientations": True}])
def test_a_resumed_training_ends_with_the_same_bits(begin, tmp_path, changes):
    whole, first = begin(**changes), begin(**changes)
    for _ in range(7):
        whole.step()
    for _ in range(4):
        first.step()
    first.save(tmp_path, log_lines=0)
    second = begin(**changes)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(3):
        second.step()
    assert all(torch.equal(a, b) for a, b in zip(whole.tensors(), second.tensors(), strict=True))
    assert whole.report(1, 1) == second.report(1, 1)


def test_the_way_back_can_be_left_out(begin):
    training, calls = begin(back_share=0.0), []
    redraw = training.G.forward
    training.G.forward = lambda *given: calls.append(len(given)) or redraw(*given)
    training.step()
    assert len(calls) == 1
    assert "back" not in training.report(1, 1)


def test_measures_of_a_known_inpainter():
    class Cap(nn.Module):
        config = SimpleNamespace(normal=0)

        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return x.clamp(max=0.0)

    x = torch.full((3, 1, 4, 4), -0.5)
    x[1, 0, 0, 0] = 1.0  # f near 1, and near 0 without it
    x[2, 0, 0, 0] = 0.55  # f = .73: moves by less than .8
    found = measure_inpainter(Cap(), Spots(), x)
    assert found["abnormal"] == pytest.approx(2 / 3)
    assert found["validity"] == 0.5
    assert found["change_normal"] == 0
    assert found["change_abnormal"] == pytest.approx((1 + 0.55) / 16 / 2 / 2)
    assert measure_inpainter(Cap(), Spots(), x[:1])["validity"] is None


def test_the_normal_class_is_found_by_its_name():
    assert normal_class(("NORMAL", "PNEUMONIA")) == 0
    assert normal_class(("diseased", "healthy")) == 1
    with pytest.raises(InputError, match="`normal` must be one of a, b, got nothing; name it with --normal"):
        normal_class(("a", "b"))
    with pytest.raises(InputError, match="`normal` must be one of a, b, got 'c'"):
        normal_class(("a", "b"), "c")


def test_a_classifier_that_says_the_same_of_all_is_refused():
    fields = Fields(8)
    check_finds_both(Spots(), fields, 0)
    dark, bright = Fields(8), Fields(8)
    dark.pixels, bright.pixels = dark.pixels.clamp(max=0), bright.pixels + 1.5
    with pytest.raises(InputError, match="`classifier` must find some images abnormal, got healthy for all 8 asked"):
        check_finds_both(Spots(), dark, 0)
    with pytest.raises(InputError, match="`classifier` must find some images healthy, got abnormal for all 8 asked"):
        check_finds_both(Spots(), bright, 0)


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """A classifier that finds about half of what it is shown abnormal."""
    torch.manual_seed(0)
    config = ClassifierConfig(class_names=("healthy", "diseased"), architecture="squeezenet1_1", resolution=32)
    classifier = Classifier(config).eval()
    return classifier, save_classifier(tmp_path_factory.mktemp("judge") / "classifier.safetensors", classifier)


@pytest.fixture
def undecided(monkeypatch):
    """No classifier is too sure."""
    monkeypatch.setattr(training_file, "check_finds_both", lambda *_: None)


def test_true_masks_change_nothing(judge, undecided, tmp_path, monkeypatch):
    """Two trainings, of which one would see masks inside out, end alike: labels of images are all that is used."""
    prepare_tissue(tmp_path / "t.lmdb", 24, 32, seed=1, progress=False)
    config = replace(TINY, kimg=0.016, tick_kimg=0.004, snapshot_kimg=0.008)
    picture, share, trained = ImageLMDB.mask_picture, [], []
    for name in ("true", "false"):
        path = train_inpainting(tmp_path / "t.lmdb", judge[1], tmp_path / name, config, quiet=True)
        trained.append(load_inpainter(path, "cpu", "float32"))
        with ImageLMDB(tmp_path / "t.lmdb") as source:
            share.append(source.masks().float().mean())
        monkeypatch.setattr(ImageLMDB, "mask_picture", lambda *given: ImageOps.invert(picture(*given)))
    assert all(torch.equal(a, b) for a, b in zip(*(G.parameters() for G in trained), strict=True))
    assert share[0] == pytest.approx(1 - share[1])


def test_a_run_leaves_its_files_and_goes_on_exactly(judge, undecided, tmp_path, monkeypatch):
    prepare_tissue(tmp_path / "t.lmdb", 24, 32, seed=1, progress=False)
    config = replace(TINY, kimg=0.024, tick_kimg=0.008, snapshot_kimg=0.012)
    train = lambda out, **more: train_inpainting(tmp_path / "t.lmdb", judge[1], out, config, quiet=True, **more)  # noqa: E731
    path = train(tmp_path / "whole")
    step, steps = InpaintingTraining.step, iter(range(9))

    def interrupted(self):
        if next(steps) == 4:
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(training_file.InpaintingTraining, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts")
    monkeypatch.undo()
    monkeypatch.setattr(training_file, "check_finds_both", lambda *_: None)
    again = train(tmp_path / "parts", resume=True)
    whole, parts = load_inpainter(path, "cpu", "float32"), load_inpainter(again, "cpu", "float32")
    assert whole.class_names == ("healthy", "diseased")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))
    lines = [json.loads(line) for line in (tmp_path / "parts/log.jsonl").read_text().splitlines()]
    assert lines[-1]["kimg"] == 0.024
    assert {"abnormal", "validity", "change_normal"} <= set(lines[-1])
    assert {"config.json", "state.pt", "inpainter.safetensors"} < {p.name for p in (tmp_path / "parts").iterdir()}
    with pytest.raises(InputError, match=r"`rec_weight` must stay 1\.0 when resuming, got 3\.0"):
        train_inpainting(
            tmp_path / "t.lmdb", judge[1], tmp_path / "parts", replace(config, rec_weight=3.0), resume=True
        )


def test_no_abnormal_image_is_one_line(judge, tmp_path):
    prepare_tissue(tmp_path / "t.lmdb", 12, 32, share=0, progress=False, format="lmdb")
    with pytest.raises(InputError, match="`data` must have") as found:
        train_inpainting(tmp_path / "t.lmdb", judge[1], tmp_path / "out", TINY)
    assert "\n" not in str(found.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": "coin"}, "`preset` must be one of synthetic, clinical, singla"),
        ({"adversarial": "wgan"}, "`adversarial` must be one of bce, mse, hinge"),
        ({"generator_interval": 0}, "generator_interval"),
        ({"views": 2}, "views"),
        ({"temper": 0}, "temper"),
        ({"rec_weight": -1.0}, "rec_weight"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(InputError, match=message):
        replace(TINY, **changes)


def test_the_picture_shows_images_counterfactuals_and_differences(begin, tmp_path):
    training = begin()
    x, labels = training.examples(2)
    path = save_counterfactuals(tmp_path / "s.png", training.ema, x, labels)
    with Image.open(path) as picture:
        assert picture.size == (2 * 16, 6 * 16)
