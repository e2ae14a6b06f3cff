"""An encoder on pretrained features: to the latent that draws an image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoxplain.models.projector import WIDTH
from histoxplain.models.stylegan2.layers import Convolution, FullyConnected

KIND = "projected.encoder"


class FeatureEncoder(nn.Module):
    """Projected features of an image, and its colours, to the latent that draws it: `(N, w_dim)`."""

    def __init__(self, w_dim: int, channels: int = 3, width: int = 128) -> None:
        super().__init__()
        self.w_dim = w_dim
        self.conv16 = Convolution(WIDTH, width, 3, act="lrelu", down=2)
        self.conv8 = Convolution(width + WIDTH + channels, width, 3, act="lrelu", down=2)
        self.conv4 = Convolution(width + WIDTH, width, 3, act="lrelu")
        self.fc = FullyConnected(width * 16, 4 * width, "lrelu")
        self.out = FullyConnected(4 * width, w_dim)

    def forward(self, maps: list[Tensor], images: Tensor) -> Tensor:
        """Maps of `FeatureProjector`, of which the last three are used, and the images they are of."""
        return self.out(self.summary(maps, images))

    def summary(self, maps: list[Tensor], images: Tensor) -> Tensor:
        """All that the latent is read from, `(N, 4 * width)`."""
        fine, middle, coarse = (_standard(x) for x in maps[-3:])
        x = self.conv16(fine)
        x = self.conv8(torch.cat([x, middle, F.adaptive_avg_pool2d(images, 8)], 1))
        x = self.conv4(torch.cat([x, coarse], 1))
        return self.fc(x.flatten(1))


def _standard(x: Tensor) -> Tensor:
    """Each image's map at mean square 1, as layers with equalised learning rate expect."""
    return x * (x.square().mean((1, 2, 3), keepdim=True) + 1e-8).rsqrt()
