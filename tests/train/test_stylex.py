import numpy as np
import torch

from histoxplain.models import load_encoder
from histoxplain.train.config_gan import GANConfig
from histoxplain.train.stylex import StylExTraining

TINY = {
    "batch": 8,
    "channel_base": 128,
    "channel_max": 16,
    "z_dim": 8,
    "w_dim": 8,
    "device": "cpu",
    "precision": "float32",
    "augment": "none",
    "pl_weight": 0,
    "reconstruct_weight": 10,
    "lr": 0.005,
}


def colours():
    pixels = np.random.default_rng(0).integers(0, 255, (32, 3, 1, 1)).repeat(16, 2).repeat(16, 3)
    return torch.tensor(pixels, dtype=torch.uint8), np.arange(32) % 2


def test_reconstructions_get_closer_to_the_images():
    training = StylExTraining(*colours(), ("a", "b"), GANConfig(**TINY))
    errors = []
    for _ in range(40):
        training.step()
        errors.append(training.sums["reconstruction"][-1].item())
    assert np.mean(errors[-5:]) < 0.6 * np.mean(errors[:5])


def test_resumes_exactly_and_saves_the_encoder(tmp_path):
    whole, first, second = (StylExTraining(*colours(), ("a", "b"), GANConfig(**TINY)) for _ in range(3))
    for _ in range(4):
        whole.step()
    for _ in range(2):
        first.step()
    first.save(tmp_path, log_lines=0)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(2):
        second.step()
    for network in ("G", "E", "ema_e"):
        expected, got = (getattr(training, network).state_dict() for training in (whole, second))
        assert all(torch.equal(expected[name], got[name]) for name in expected), network
    assert load_encoder(tmp_path / "encoder.safetensors").num_ws == 6
