"""A tiny generator and a classifier whose answer is known on paper."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from histoxplain.models import Generator, GeneratorConfig

NAMES = ("dark", "medium", "red")


class Redness(nn.Module):
    """Three classes along one axis, the mean red r: logits -r - w, 0 and r - w, so that small |r| is "medium"."""

    class_names, resolution, channels = NAMES, 16, 3

    def __init__(self, centre=0.0, width=0.05, sharpness=60.0):
        super().__init__()
        self.centre, self.width, self.sharpness = centre, width, sharpness

    def forward(self, x):
        r = (x[:, 0].mean((1, 2)) - self.centre) * self.sharpness
        w = self.width * self.sharpness
        return torch.stack([-r - w, torch.zeros_like(r), r - w], 1)

    def probabilities(self, x):
        return self(x).softmax(1)


def tiny_generator(classes=3, resolution=16):
    torch.manual_seed(0)
    shape = {"resolution": resolution, "channel_base": 256, "channel_max": 16, "z_dim": 16, "w_dim": 16}
    return Generator(GeneratorConfig(c_dim=classes, mapping_layers=2, **shape), NAMES).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def bundle():
    """Random weights, but a real range of colours for the classifier to tell apart."""
    G = tiny_generator()
    with torch.no_grad():
        z = torch.randn(300, 16, generator=torch.Generator().manual_seed(1))
        c = torch.eye(3)[torch.arange(300) % 3]
        red = G.synthesis(G.mapping(z, c)).clamp(-1, 1)[:, 0].mean((1, 2))
    classifier = Redness(float(red.median()), float(red.std()) * 0.5, 4 / float(red.std())).eval()
    return SimpleNamespace(
        name="tiny",
        generator=G,
        classifier=classifier,
        oracle=None,
        encoder=None,
        class_names=NAMES,
        resolution=16,
        info={},
    )
