"""A tiny bundle whose classifier can be checked by eye: it measures how red an image is."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from histoxplain.explain import LatentMap, quantised
from histoxplain.models import Generator, GeneratorConfig

NAMES = ("pale", "medium", "red")


class Redness(nn.Module):
    """Logits -r - 1, 0 and r - 1 of the mean red r, scaled."""

    class_names, resolution, channels = NAMES, 16, 3

    def __init__(self, centre, sharpness):
        super().__init__()
        self.centre, self.sharpness = centre, sharpness

    def forward(self, x):
        r = (x[:, 0].mean((1, 2)) - self.centre) * self.sharpness
        return torch.stack([-r - 1, torch.zeros_like(r), r - 1], 1)

    def probabilities(self, x):
        return self(x).softmax(1)


@pytest.fixture(scope="session")
def bundle():
    torch.manual_seed(0)
    shape = {"resolution": 16, "channel_base": 256, "channel_max": 16, "z_dim": 16, "w_dim": 16, "mapping_layers": 2}
    G = Generator(GeneratorConfig(c_dim=3, **shape), NAMES).eval().requires_grad_(False)
    red = G(torch.randn(200, 16), torch.eye(3)[torch.arange(200) % 3]).clamp(-1, 1)[:, 0].mean((1, 2))
    classifier = Redness(float(red.median()), 3 / float(red.std())).eval()
    networks = {"generator": G, "classifier": classifier, "oracle": None, "encoder": None}
    return SimpleNamespace(name="tiny", class_names=NAMES, resolution=16, info={}, **networks)


@pytest.fixture(scope="session")
def latents(bundle):
    """Nine latents on a 3 x 3 grid; a real map comes from UMAP, which takes its time."""
    z = torch.randn(9, 16, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(9) % 3
    ws = bundle.generator.mapping(z, torch.eye(3)[labels])
    logits = bundle.classifier(quantised(bundle.generator.synthesis(ws)))
    points = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), -1).reshape(9, 2).astype(np.float32)
    return LatentMap(z, ws[:, 0], labels, logits, points, NAMES)
