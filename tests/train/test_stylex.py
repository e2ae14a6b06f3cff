import numpy as np
import torch

from histoxplain.data import to_unit
from histoxplain.models import load_encoder
from histoxplain.train.config_gan import GANConfig
from histoxplain.train.gan import opinions
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


class Redness(torch.nn.Module):
    """Two classes: less or more red than the middle."""

    channels, class_names, resolution = 3, ("cold", "red"), 16

    def forward(self, x):
        red = 6 * x[:, 0].mean((1, 2))
        return torch.stack([-red, red], 1)

    def probabilities(self, x):
        return self(x).softmax(1)


def test_the_classifiers_probabilities_reach_the_generator(monkeypatch):
    """Drawn for "red", the same noise becomes redder than drawn for "cold"."""
    monkeypatch.setattr("histoxplain.models.classifier.load_classifier", lambda path: Redness())
    pixels, _ = colours()
    labels, names = opinions(pixels, "redness", torch.device("cpu"))
    torch.testing.assert_close(labels, Redness().probabilities(to_unit(pixels)))
    guided = {"label_classifier": "redness", "guide": ("redness",), "guide_weight": 10, "guide_interval": 1}
    start = {"lr": 0.05, "batch": 4, "seed": 4}  # which hardly tells the classes apart
    training = StylExTraining(pixels, labels, names, GANConfig(**TINY | guided | start))
    z = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))

    def redness():
        with torch.no_grad():
            images = [training.G(z, torch.eye(2)[k].expand(16, -1)) for k in (0, 1)]
        return [float(x[:, 0].mean()) for x in images]

    untrained = redness()
    for _ in range(40):
        training.step()
    cold, red = redness()
    assert red - cold > max(0.2, 2 * abs(untrained[1] - untrained[0]))
    assert training.G.mapping.embed.weight.grad is not None
