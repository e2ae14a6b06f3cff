import numpy as np
import pytest
import torch

from histoxplain.metrics.features import FeatureNet
from histoxplain.models import load_generator
from histoxplain.train.config_gan import GANConfig
from histoxplain.train.projected import FeatureProjector, ProjectedDiscriminator, ProjectedTraining, jitter

TINY = {
    "batch": 4,
    "channel_base": 256,
    "channel_max": 8,
    "z_dim": 8,
    "w_dim": 8,
    "device": "cpu",
    "precision": "float32",
    "pl_weight": 0,
    "discriminator": "projected",
}


@pytest.fixture(scope="module")
def projector():
    torch.manual_seed(0)
    return FeatureProjector()


def test_folding_batch_normalisation_keeps_the_features(projector, rng):
    x = torch.rand(2, 3, 128, 128, generator=rng) * 2 - 1
    seen = []
    whole = FeatureNet()
    whole.network._blocks[10].register_forward_hook(lambda _, __, out: seen.append(out))
    whole.network.extract_features(whole.normalise(x))
    projector.net.network._blocks[10].register_forward_hook(lambda _, __, out: seen.append(out))
    projector(x)
    torch.testing.assert_close(seen[1], seen[0], atol=1e-3, rtol=1e-3)


def test_four_maps_and_a_logit_for_each(projector):
    maps = projector(torch.zeros(3, 3, 64, 64))  # enlarged to 128 px
    assert [tuple(m.shape[1:]) for m in maps] == [(64, 32, 32), (64, 16, 16), (64, 8, 8), (64, 4, 4)]
    assert ProjectedDiscriminator(2, 128)(maps, torch.eye(2)[[0, 1, 0]]).shape == (3, 4)
    assert ProjectedDiscriminator(0, 128)(maps, None).shape == (3, 4)


def test_jitter_keeps_the_shape_passes_gradients_and_repeats():
    x = torch.rand(2, 3, 16, 16, requires_grad=True)
    first, second = (jitter(x, torch.Generator().manual_seed(5)) for _ in range(2))
    assert first.shape == x.shape
    assert torch.equal(first, second)
    blank = (first == 0).all(1).float().mean()
    assert 0.05 < blank < 0.6  # the blank square and what was shifted in
    first.square().sum().backward()
    assert x.grad.abs().amax((1, 2, 3)).gt(0).all()


def test_it_resumes_exactly_and_saves_a_generator(tmp_path):
    pixels = torch.tensor(np.random.default_rng(0).integers(0, 255, (12, 3, 64, 64)), dtype=torch.uint8)
    data = pixels, np.arange(12) % 2, ("a", "b")
    whole, first, second = (ProjectedTraining(*data, GANConfig(**TINY)) for _ in range(3))
    for _ in range(2):
        whole.step()
    first.step()
    first.save(tmp_path, log_lines=0)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    second.step()
    for network in ("G", "D", "ema"):
        expected, got = (getattr(training, network).state_dict() for training in (whole, second))
        assert all(torch.equal(expected[name], got[name]) for name in expected), network
    assert load_generator(tmp_path / "generator.safetensors").img_resolution == 64
