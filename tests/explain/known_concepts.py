"""A concept model whose concepts, weights and moves are known on paper."""

import torch
from torch import nn
from torch.nn import functional as F

from histoxplain.models import Concepts

NAMES = ("redness", "darkness", "green", "never")
WEIGHTS = ((-1.0, 2.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), (3.0, -1.0, 0.5, 0.0))
"""Theta's, of the classes dark, medium and red."""


class KnownConcepts(nn.Module):
    """Four concepts: red above 0, red below 0, green above 0, and one that no image has.

    Of each there is as much as the image has of it, in every place. Omega moves red by `gains` for each unit of a
    concept; the support is what is missing to the image's mean colour, so that redrawing gives it back.

    Args:
        bundle: with the generator `Paint`, which paints in the first three numbers of w.
        gains: how far a unit of each concept moves red.
        lost: how much redness redrawing loses.
    """

    def __init__(self, bundle, gains=(1.0, -1.0, 0.0, 0.0), lost=0.0):
        super().__init__()
        self.generator, self.classifier, self.lost = bundle.generator, bundle.classifier, lost
        self.theta = nn.Linear(4, 3)
        with torch.no_grad():
            self.theta.weight.copy_(torch.tensor(WEIGHTS))
            self.theta.bias.zero_()
        self.gains, self.names = torch.tensor(gains), NAMES

    def maps(self, x):
        red, green = x[:, :1], x[:, 1:2]
        return F.adaptive_avg_pool2d(F.relu(torch.cat([red, -red, green, 0 * red], 1)), 4)

    def concepts(self, x):
        phi = F.adaptive_avg_pool2d(self.maps(x), 3)
        ws = torch.zeros(len(x), self.generator.num_ws, self.generator.w_dim)
        ws[:, :, :3] = x.mean((2, 3))[:, None]
        ws[:, :, 0] -= self.lost
        return Concepts(phi, ws - self.latents(phi), None, self.classifier(x))

    def latents(self, phi, support=None):
        red = (phi.mean((2, 3)) * self.gains).sum(1)
        moved = torch.zeros(len(phi), self.generator.num_ws, self.generator.w_dim)
        moved[:, :, 0] = red[:, None]
        return moved if support is None else moved + support

    def predict(self, phi):
        return self.theta(phi.amax((2, 3)))

    def draw(self, concepts):
        return self.generator.synthesis(self.latents(concepts.phi, concepts.support)).clamp(-1, 1)

    def rename(self, names):
        self.names = tuple(names.get(k, name) for k, name in enumerate(self.names))
