"""Distance between images as a network sees it: in its intermediate features, each normalised.

After Zhang et al., 2018 (LPIPS, arXiv:1801.03924), with EfficientNet-Lite0's ImageNet features and without learned
weights, so that it needs no download.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from histoxplain._checks import check
from histoxplain.metrics.features import FeatureNet

LAYERS = (0, 2, 4, 7, 10)
"""The blocks whose outputs are compared, at 1/2, 1/4, 1/8, 1/16 and 1/16 of the image's side."""


class PerceptualDistance(nn.Module):
    """Differentiable distance between images of equal size, at their own size.

    `d(a, b) = mean_l mean_ij |f_l(a)_ij - f_l(b)_ij|^2`, where `f_l(x)_ij` is the unit vector of layer l's channels at
    pixel ij. It lies in [0, 4]; different tissues are around 1, equal images at 0.

    Example:
        >>> x = torch.linspace(-1, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)
        >>> PerceptualDistance()(x, x).tolist()
        [0.0, 0.0]
    """

    def __init__(self) -> None:
        super().__init__()
        self.net = FeatureNet()
        network = self.net.network
        network._blocks = network._blocks[: LAYERS[-1] + 1]
        del network._conv_head, network._bn1, network._fc

    def embed(self, x: Tensor) -> list[Tensor]:
        """Unit vectors of each layer, `(N, C_l, H_l, W_l)`, of images `(N, 1 or 3, H, W)` in `[-1, 1]`.

        An image compared often needs this only once; see `between`.
        """
        network = self.net.network
        x = network._swish(network._bn0(network._conv_stem(self.net.normalise(x))))
        layers = []
        for index, block in enumerate(network._blocks):
            x = block(x)
            if index in LAYERS:
                layers.append(x / (x.square().sum(dim=1, keepdim=True) + 1e-10).sqrt())
        return layers

    @staticmethod
    def between(a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Distance `(N,)` between what `embed` made of images; either side may hold one image for all of the other."""
        return torch.stack([(p - q).square().sum(dim=1).mean(dim=(1, 2)) for p, q in zip(a, b)]).mean(dim=0)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distance `(N,)` between images `(N, C, H, W)` in `[-1, 1]`, pair by pair.

        Raises:
            InputError: if the shapes differ.
        """
        check(a.shape == b.shape, "b", f"have the shape of `a`, {tuple(a.shape)}", tuple(b.shape))
        return self.between(self.embed(a), self.embed(b))


@cache
def perceptual_net(device: str = "cpu") -> PerceptualDistance:
    """A `PerceptualDistance`, built once for each device."""
    return PerceptualDistance().to(device)


def perceptual_distance(a: Tensor, b: Tensor) -> Tensor:
    """Perceptual distance `(N,)`, in [0, 4], between images `(N, C, H, W)` in `[-1, 1]`; see `PerceptualDistance`."""
    return perceptual_net(str(a.device))(a, b)
