"""Pooled ImageNet features, as a network like any other."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain._checks import check_images, check_one_of
from histoxplain.models.architectures import LITE, efficientnet_lite0, normalisation

FEATURES = "efficientnet_lite0-imagenet"
"""The features that need no download."""


class FeatureNet(nn.Module):
    """Pooled ImageNet features of images, differentiable.

    Args:
        resolution: side in pixels to which images are resized first.
    """

    name = FEATURES
    dimensions = 1280

    def __init__(self, resolution: int = 128) -> None:
        super().__init__()
        self.resolution = resolution
        self.network = efficientnet_lite0(pretrained=True).eval().requires_grad_(False)
        mean, deviation = normalisation(LITE)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    @property
    def resize(self) -> str:
        """How images are brought to the size of the network."""
        return f"{self.resolution} px, bilinear, antialiased"

    def normalise(self, x: Tensor) -> Tensor:
        """Images `(N, 1 or 3, H, W)` in `[-1, 1]` as the network expects them, `(N, 3, H, W)`."""
        check_images("x", x)
        check_one_of("channels", x.shape[1], (1, 3))
        return (x - self.mean) / self.deviation

    def forward(self, x: Tensor) -> Tensor:
        """Features `(N, 1280)` of images `(N, 1 or 3, H, W)` in `[-1, 1]`, of any size."""
        x, size = self.normalise(x), (self.resolution, self.resolution)
        if x.shape[-2:] != size:
            x = F.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)
        return self.network.extract_features(x).mean(dim=(2, 3))
