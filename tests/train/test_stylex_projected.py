import numpy as np
import pytest
import torch

from histoxplain import InputError
from histoxplain.models import save_checkpoint, save_generator
from histoxplain.train.config_gan import GANConfig
from histoxplain.train.gan import _kind
from histoxplain.train.projected import FeatureProjector
from histoxplain.train.stylex_projected import FeatureEncoder, ProjectedStylExTraining, feature_loss

TINY = {
    "batch": 8,
    "channel_base": 256,
    "channel_max": 8,
    "z_dim": 8,
    "w_dim": 8,
    "device": "cpu",
    "precision": "float32",
    "pl_weight": 0,
    "style_mixing": 0,
    "r1_interval": 0,
    "discriminator": "projected",
    "reconstruct_weight": 40,
}


def halves():
    """Dark above and light below, or the other way round, in two classes of colours."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 40, (16, 3, 64, 64))
    for i, image in enumerate(pixels):
        image[i % 3] += 80
        image[:, 32 * (i // 8) : 32 * (i // 8) + 32] += 120
    return torch.tensor(pixels, dtype=torch.uint8), np.arange(16) % 2, ("a", "b")


def test_the_settings_choose_this_training():
    assert _kind(GANConfig(**TINY)) is ProjectedStylExTraining
    with pytest.raises(InputError, match="`layout_steps` must be 0 without"):
        GANConfig(layout_steps=10)


def test_it_resumes_exactly(tmp_path):
    whole, first, second = (ProjectedStylExTraining(*halves(), GANConfig(**TINY)) for _ in range(3))
    for _ in range(2):
        whole.step()
    first.step()
    first.save(tmp_path, log_lines=0)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    second.step()
    for network in ("G", "D", "E", "ema"):
        expected, got = (getattr(training, network).state_dict() for training in (whole, second))
        assert all(torch.equal(expected[name], got[name]) for name in expected), network
    assert torch.equal(whole.bank, second.bank)


def test_a_first_step_that_sees_no_class_twice_leaves_the_mapping_network():
    training = ProjectedStylExTraining(*halves(), GANConfig(**{**TINY, "batch": 2}))
    before = training.G.mapping.fc0.weight.clone()
    training.step()
    assert torch.equal(training.G.mapping.fc0.weight, before)
    assert "uncovered" not in training.sums


def test_an_encoder_of_another_kind_is_left_alone(tmp_path):
    save_checkpoint(tmp_path / "encoder.safetensors", {"a": torch.zeros(1)}, kind="encoder", config={})
    first = ProjectedStylExTraining(*halves(), GANConfig(**TINY))
    save_generator(tmp_path / "generator.safetensors", first.G)
    assert ProjectedStylExTraining(*halves(), GANConfig(**TINY, start_from=str(tmp_path))).E.w_dim == 8


def test_another_training_starts_from_its_encoder(tmp_path):
    first = ProjectedStylExTraining(*halves(), GANConfig(**TINY))
    first.step()
    first.save(tmp_path, log_lines=0)
    second = ProjectedStylExTraining(*halves(), GANConfig(**TINY, start_from=str(tmp_path)))
    assert torch.equal(second.E.out.weight, first.E.out.weight)


def test_layouts_are_learnt_before_the_first_step():
    training = ProjectedStylExTraining(*halves(), GANConfig(**TINY, layout_steps=150))
    training.prepare(quiet=True)
    real, _ = training._reals()
    with torch.no_grad():
        w = training.E(training.project(real), real)
        image = training.ema.synthesis(w[:, None].expand(-1, training.G.num_ws, -1))
    light = image[:, :, 32:].mean((1, 2, 3)) - image[:, :, :32].mean((1, 2, 3))
    truth = real[:, :, 32:].mean((1, 2, 3)) - real[:, :, :32].mean((1, 2, 3))
    assert (light.sign() == truth.sign()).all()


def test_the_mapping_network_learns_where_latents_of_real_images_lie():
    training = ProjectedStylExTraining(*halves(), GANConfig(**TINY))
    training.real_c = torch.eye(2)[torch.arange(6) % 2]
    training.found = torch.where(training.real_c[:, :1] > 0, 3.0, -1.0).repeat(1, 8) + 0.1 * torch.randn(6, 8)
    for _ in range(300):
        loss = torch.stack(training._uncovered()).mean()
        training.opt_mapping.zero_grad()
        loss.backward()
        training.opt_mapping.step()
    with torch.no_grad():
        w = training.G.mapping(torch.randn(64, 8), torch.eye(2)[torch.arange(64) % 2])[:, 0]
    assert w[0::2].mean() == pytest.approx(3, abs=0.5)
    assert w[1::2].mean() == pytest.approx(-1, abs=0.5)


def test_only_latents_that_were_drawn_for_the_mapping_network_move_it():
    training = ProjectedStylExTraining(*halves(), GANConfig(**TINY))
    training.real, training.real_c = training._reals()
    fake, _ = training._fakes(8)
    fake.square().sum().backward()
    assert all(p.grad is None for p in training.G.mapping.parameters())
    assert training.E.out.weight.grad.abs().sum() > 0


def test_feature_loss_of_flat_maps():
    maps = [torch.tensor([-1.0, 1.0])[:, None, None, None].expand(2, 4, side, side) for side in (8, 4, 4, 2)]
    average = [torch.zeros_like(x) for x in maps]
    assert feature_loss(maps, maps) == 0
    # off by as much as the originals differ: the channel means at four scales and every place at two, but no deviation
    assert feature_loss(average, maps).item() == pytest.approx((4 + 2) / 10)


def test_the_encoder_takes_features_and_colours(rng):
    x = torch.rand(2, 3, 64, 64, generator=rng) * 2 - 1
    assert FeatureEncoder(8)(FeatureProjector()(x), x).shape == (2, 8)
