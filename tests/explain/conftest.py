"""Generators and classifiers whose answers are known on paper."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

NAMES = ("dark", "medium", "red")


class Redness(nn.Module):
    """Three classes along one axis, the mean red r: logits -s (r + w), 0 and s (r - w); small |r| is "medium"."""

    class_names, resolution, channels = NAMES, 16, 3

    def __init__(self, width=0.25, sharpness=20.0):
        super().__init__()
        self.width, self.sharpness = width, sharpness

    def forward(self, x):
        r = x[:, 0].mean((1, 2))
        return self.sharpness * torch.stack([-r - self.width, torch.zeros_like(r), r - self.width], 1)

    def probabilities(self, x):
        return self(x).softmax(1)


class Paint(nn.Module):
    """A generator that paints the whole image in one colour: the first three numbers of w, averaged over the layers.

    Mapping: w = z / 5, and the label moves red to -0.6, 0 or 0.6.
    """

    z_dim = w_dim = 6
    c_dim, num_ws, img_resolution, img_channels = 3, 6, 16, 3

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)

    def mapping(self, z, c, truncation_psi=1, truncation_cutoff=None):
        red = (c * torch.tensor([-0.6, 0.0, 0.6])).sum(1, keepdim=True)
        w = z / 5 + torch.cat([red, torch.zeros(len(z), self.w_dim - 1)], 1)
        return w[:, None].repeat(1, self.num_ws, 1)

    def synthesis(self, ws, noise_mode="const"):
        colour = self.scale * ws.mean(1)[:, :3]
        return colour[:, :, None, None].expand(-1, -1, 16, 16)

    def interactive(self, keep=True):
        return self


class Dials(nn.Module):
    """A generator whose StyleSpace is linear: red is the weighted sum of all styles, and nothing else changes.

    Mapping: w = z / 5, and the label moves its first number to -0.6, 0 or 0.6. A layer's styles are the first number of
    its latent, plus a tenth of the second number in its first channel and of the third in its second.
    """

    z_dim = w_dim = 6
    c_dim, num_ws, img_resolution, img_channels = 3, 3, 16, 3
    weights = {"b4.conv1": (0.3, 0.1), "b4.torgb": (0.05, 0.0), "b8.conv0": (0.2, 0.25), "b8.conv1": (0.07, 0.03)}
    rows = {"b4.conv1": 0, "b4.torgb": 1, "b8.conv0": 1, "b8.conv1": 2}

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)
        self.passes = 0

    def mapping(self, z, c, truncation_psi=1, truncation_cutoff=None):
        red = (c * torch.tensor([-0.6, 0.0, 0.6])).sum(1, keepdim=True)
        w = z / 5 + torch.cat([red, torch.zeros(len(z), self.w_dim - 1)], 1)
        return w[:, None].repeat(1, self.num_ws, 1)

    def styles(self, ws):
        return {layer: ws[:, row, :1] + 0.1 * ws[:, row, 1:3] for layer, row in self.rows.items()}

    def synthesis_from_styles(self, s, noise_mode="const"):
        self.passes += 1
        red = self.scale * sum(s[layer] @ torch.tensor(weights) for layer, weights in self.weights.items())
        zero = torch.zeros_like(red)
        return torch.stack([red, zero, zero], 1)[:, :, None, None].expand(-1, -1, 16, 16)

    def synthesis(self, ws, noise_mode="const"):
        return self.synthesis_from_styles(self.styles(ws))


@dataclass(frozen=True)
class Bundle:
    """What the explainers need of a `histoxplain.models.Bundle`."""

    generator: Any
    classifier: Any
    oracle: Any = None
    name: str = "paint"
    class_names: tuple[str, ...] = NAMES
    resolution: int = 16


@pytest.fixture(scope="session")
def bundle():
    return Bundle(Paint(), Redness(), Redness(width=0.3))


@pytest.fixture(scope="session")
def dials():
    return Bundle(Dials(), Redness(), Redness(width=0.3), name="dials")


@pytest.fixture
def colour():
    """An image of one colour."""
    return lambda red, green=0.0, blue=0.0: torch.tensor([red, green, blue])[:, None, None].expand(3, 16, 16).clone()
