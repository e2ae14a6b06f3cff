import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from histoxplain import InputError
from histoxplain.data import fingerprint, open_source, prepare
from histoxplain.models import convert, load_checkpoint, load_discriminator, load_generator
from histoxplain.train import gan
from histoxplain.train.config_gan import GANConfig
from histoxplain.train.gan import GANTraining, train_gan

TINY = {
    "batch": 4,
    "channel_base": 64,
    "channel_max": 8,
    "z_dim": 8,
    "w_dim": 8,
    "device": "cpu",
    "precision": "float32",
    "r1_interval": 2,
    "pl_interval": 3,
    "augment_p": 0.3,
    "mirror": True,
    "quarter_turns": True,
}


@pytest.fixture(scope="module")
def colours():
    """Two classes that differ in colour alone."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 60, (40, 3, 16, 16))
    labels = np.arange(40) % 2
    pixels[labels == 0, 0] += 180
    pixels[labels == 1, 2] += 180
    return torch.tensor(pixels, dtype=torch.uint8), labels


@pytest.fixture(scope="module")
def data(colours, tmp_path_factory):

    from histoxplain.data import (
        LMDBWriter,  # noqa: F401  (the format is that room's business)
    )

    folder = tmp_path_factory.mktemp("colours")
    for i, (pixels, label) in enumerate(zip(*colours)):
        place = folder / "images" / f"class{label}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(place / f"{i}.png")
    prepare(folder / "images", folder / "data.lmdb", resolution=16)
    return folder / "data.lmdb"


def test_same_seed_same_weights(colours):
    runs = []
    for _ in range(2):
        training = GANTraining(*colours, ("red", "blue"), GANConfig(**TINY))
        for _ in range(4):
            training.step()
        runs.append(training.G.state_dict())
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_a_resumed_training_ends_with_the_same_weights(colours, tmp_path):
    config = GANConfig(**TINY)
    whole = GANTraining(*colours, ("red", "blue"), config)
    for _ in range(9):
        whole.step()
    first = GANTraining(*colours, ("red", "blue"), config)
    for _ in range(5):
        first.step()
    first.save(tmp_path, log_lines=0)
    second = GANTraining(*colours, ("red", "blue"), config)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(4):
        second.step()
    for network in ("G", "D", "ema"):
        expected, got = (getattr(training, network).state_dict() for training in (whole, second))
        assert all(torch.equal(expected[name], got[name]) for name in expected), network
    assert second.augment.p == whole.augment.p
    assert torch.equal(second.pl_mean, whole.pl_mean)


def test_augmentation_reaches_discriminator_and_generator(colours):
    training = GANTraining(*colours, ("red", "blue"), GANConfig(**TINY))
    seen = []
    pipe, training.augment.pipe.forward = training.augment.pipe.forward, None
    training.augment.pipe.forward = lambda *a, **k: seen.append(len(a[0])) or pipe(*a, **k)
    training.step()
    assert len(seen) == 4  # fakes for G, fakes and reals for D, reals for R1


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_latents_are_mixed_from_two_and_the_first_move_the_mean(colours, share):
    training = GANTraining(*colours, ("red", "blue"), GANConfig(**TINY, style_mixing=share))
    G = training.G
    state = training.rng.get_state()
    ws, c = training._fake_latents(16)
    z = torch.randn(2, 16, 8, generator=training.rng.set_state(state))
    first, second = (G.mapping(one, c) for one in z)
    torch.testing.assert_close(G.mapping.w_avg, 0.005 * first[:, 0].mean(0).detach())
    crossed = torch.isclose(ws, second).all(2)
    torch.testing.assert_close(ws, torch.where(crossed[:, :, None], second, first))
    assert crossed[:, -1].all() == bool(share)
    assert not crossed[:, 0].any()


def test_it_learns_the_colour_of_a_class(colours):
    config = GANConfig(**{**TINY, "augment": "none", "lr": 0.01, "batch": 8, "pl_weight": 0, "gamma": 0.05})
    training = GANTraining(*colours, ("red", "blue"), config)
    for _ in range(60):
        training.step()
    with torch.no_grad():
        means = [training.ema(torch.randn(16, 8), torch.eye(2)[[k] * 16]).mean([0, 2, 3]) for k in (0, 1)]
    assert means[0][0] - means[0][2] > means[1][0] - means[1][2] + 0.3


def test_train_gan_writes_a_run_and_resumes(data, tmp_path):
    config = GANConfig(**{**TINY, "kimg": 0.016, "snapshot_kimg": 0.008, "tick_kimg": 0.008})
    path = train_gan(data, tmp_path / "run", config, quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["kimg"] for line in lines] == [0.008, 0.016]
    assert all(0 <= line["p"] <= 1 for line in lines)
    G, D = load_generator(path), load_discriminator(tmp_path / "run/discriminator.safetensors")
    assert (G.c_dim, G.class_names, D.c_dim) == (2, ("class0", "class1"), 2)
    assert list((tmp_path / "run").glob("samples-*.png"))
    with pytest.raises(InputError, match="--resume"):
        train_gan(data, tmp_path / "run", config, quiet=True)
    longer = GANConfig(**{**TINY, "kimg": 0.024, "snapshot_kimg": 0.008, "tick_kimg": 0.008})
    train_gan(data, tmp_path / "run", longer, resume=True, quiet=True)
    assert len((tmp_path / "run/log.jsonl").read_text().splitlines()) == 3


def pressed():
    raise KeyboardInterrupt


@pytest.mark.parametrize("end", [pressed, lambda: signal.raise_signal(signal.SIGTERM)])
def test_interrupt_leaves_a_state_to_resume(data, tmp_path, monkeypatch, end):
    steps, handler = [], signal.getsignal(signal.SIGTERM)

    def stop(self):
        steps.append(1)
        if len(steps) == 3:
            end()
        return step(self)

    step = GANTraining.step
    monkeypatch.setattr(GANTraining, "step", stop)
    config = GANConfig(**{**TINY, "kimg": 0.04})
    with pytest.raises(KeyboardInterrupt):
        train_gan(data, tmp_path / "run", config, quiet=True)
    assert torch.load(tmp_path / "run/state.pt", weights_only=True)["images_seen"] == 8
    assert signal.getsignal(signal.SIGTERM) == handler


def test_starts_from_half_the_resolution(data, colours, tmp_path, capsys):
    settings = {**TINY, "channel_base": 256, "kimg": 0.004}
    train_gan(data, tmp_path / "small", GANConfig(**settings), quiet=True)
    double = torch.nn.functional.interpolate(colours[0].float(), scale_factor=2).to(torch.uint8)
    grown = GANTraining(
        double, colours[1], ("class0", "class1"), GANConfig(**settings, start_from=str(tmp_path / "small"))
    )
    assert grown.G.img_resolution == 32
    assert "starting fresh with synthesis.b32" in capsys.readouterr().out


def test_starts_from_a_checkpoint_in_its_shape_and_continues_without_it(data, tmp_path, capsys):
    small = {**TINY, "kimg": 0.008, "snapshot_kimg": 0.004, "mapping_layers": 3}
    train_gan(data, tmp_path / "before", GANConfig(**small), quiet=True)
    convert(tmp_path / "before", tmp_path / "theirs.pt", layout="nvidia")
    config = GANConfig(**{**TINY, "z_dim": 32, "kimg": 0.008, "freeze_d": 3})
    path = train_gan(data, tmp_path / "run", config, resume=tmp_path / "theirs.pt", quiet=True)
    assert f"Generator: from {tmp_path / 'theirs.pt'}" in capsys.readouterr().out
    G = load_generator(path)
    assert (G.z_dim, G.config.mapping_layers) == (8, 3)
    before, after = (load_discriminator(tmp_path / f"{run}/discriminator.safetensors") for run in ("before", "run"))
    same = {n for n, t in after.state_dict().items() if torch.equal(t, before.state_dict()[n])}
    assert same == {f"b16.{layer}.{kind}" for layer in ("fromrgb", "conv0", "conv1") for kind in ("weight", "bias")}
    (tmp_path / "theirs.pt").unlink()
    known = GANConfig(**{**GANConfig.settings_of(tmp_path / "run"), "kimg": 0.016})
    train_gan(data, tmp_path / "run", known, resume=True, quiet=True)
    assert torch.load(tmp_path / "run/state.pt", weights_only=True)["images_seen"] == 16


def test_a_training_begun_elsewhere_resumes_exactly(colours, tmp_path):
    GANTraining(*colours, ("red", "blue"), GANConfig(**TINY)).save(tmp_path, log_lines=0)
    config = GANConfig(**{**TINY, "start_from": str(tmp_path / "generator.safetensors"), "freeze_d": 2})
    whole = GANTraining(*colours, ("red", "blue"), config)
    for _ in range(3):
        whole.step()
    whole.save(tmp_path / "run", log_lines=0)
    second = GANTraining(*colours, ("red", "blue"), replace(config, start_from=None))
    second.load_state_dict(torch.load(tmp_path / "run/state.pt", weights_only=True))
    for training in (whole, second, whole, second):
        training.step()
    for network in ("G", "D", "ema"):
        expected, got = (getattr(training, network).state_dict() for training in (whole, second))
        assert all(torch.equal(expected[name], got[name]) for name in expected), network


def test_a_run_that_knew_fewer_settings_resumes(data, tmp_path):
    config = GANConfig(**{**TINY, "kimg": 0.004})
    train_gan(data, tmp_path / "run", config, quiet=True)
    written = json.loads((tmp_path / "run/config.json").read_text())
    for name in ("architecture", "architecture_d", "augpipe", "freeze_d", "subset"):
        del written[name]
    (tmp_path / "run/config.json").write_text(json.dumps(written))
    assert GANConfig(**GANConfig.settings_of(tmp_path / "run")) == config
    train_gan(data, tmp_path / "run", config, resume=True, quiet=True)
    with pytest.raises(InputError, match="`freeze_d` must stay 0"):
        train_gan(data, tmp_path / "run", GANConfig(**{**TINY, "kimg": 0.004, "freeze_d": 1}), resume=True, quiet=True)


def test_a_subset_is_the_same_for_a_seed(data, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(gan.Run, "train", lambda run: seen.append((run.training.pixels, run.training.labels)))
    for _ in range(2):
        train_gan(data, tmp_path / "run", GANConfig(**TINY, subset=10), quiet=True)
    assert seen[0][0].shape == (10, 3, 16, 16)
    assert all(torch.equal(*pair) for pair in zip(*seen))
    red = seen[0][0][:, 0].float().mean((1, 2)) > 100
    assert torch.equal(red, seen[0][1][:, 0] > 0)  # every image kept its label
    with pytest.raises(InputError, match="`subset` must be at most"):
        train_gan(data, tmp_path / "other", GANConfig(**TINY, subset=1000), quiet=True)


def test_wandb_offline_keeps_its_files_in_the_run(data, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    config = GANConfig(**{**TINY, "kimg": 0.008, "wandb": True})
    train_gan(data, tmp_path / "run", config, quiet=True)
    assert list((tmp_path / "run/wandb").glob("offline-run-*/*.wandb"))
    for name in ("generator", "discriminator"):
        written = load_checkpoint(tmp_path / f"run/{name}.safetensors")
        assert written.meta["data"] == fingerprint(open_source(data, split="train"))
        assert written.version


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"batch": 6}, "divide the batch"),
        ({"augment_p": 2}, r"`augment_p` must lie in \[0, 1\]"),
        ({"guide_weight": 1.0}, "`guide`"),
        ({"kimg": 0}, "`kimg`"),
        ({"subset": 0}, "`subset` must be at least 1"),
        ({"freeze_d": 2, "discriminator": "projected"}, "`freeze_d` must be 0 with a projected"),
    ],
)
def test_bad_settings(settings, says):
    with pytest.raises(InputError, match=says):
        GANConfig(**settings)
