"""PatchGAN: is each patch of an image a real one of its class?"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain.models.cyclegan.instance_norm import InstanceNorm
from histoxplain.models.cyclegan.layers import by_class, grown, start_small


class PatchDiscriminator(nn.Module):
    """Strided 4 x 4 convolutions and one that gives logits of patches (Isola et al., 2017).

    Args:
        channels: of the images.
        classes: how many there are.
        width: feature maps of the first layer, doubled at each of the next.
        depth: strided convolutions; the more, the larger the patches.
        shrink: images are averaged over squares of so many pixels first.
        joint: one network with logits for every class, rather than a network for each.

    Example:
        >>> D = PatchDiscriminator(1, classes=2, width=4)
        >>> D(torch.zeros(3, 1, 64, 64), torch.tensor([0, 1, 1])).shape
        torch.Size([3, 1, 4, 4])
    """

    def __init__(
        self, channels: int, classes: int, width: int = 64, depth: int = 4, shrink: int = 1, joint: bool = False
    ) -> None:
        super().__init__()
        self.joint, self.depth, self.shrink = joint, depth, shrink
        self.networks = nn.ModuleList(
            _make(channels, classes if joint else 1, width, depth) for _ in range(1 if joint else classes)
        )
        start_small(self)

    def forward(self, x: Tensor, classes: Tensor) -> Tensor:
        """Logits of patches, `(N, 1, h, w)`, float32: high where they look real and of the class that is named.

        Args:
            x: images `(N, C, H, W)` in `[-1, 1]`.
            classes: `(N,)`, what each is said to be.
        """
        step = 2**self.depth * self.shrink
        x = grown(x, step, 2 * step)
        x = F.avg_pool2d(x, self.shrink) if self.shrink > 1 else x
        x = x.contiguous(memory_format=torch.channels_last)
        if not self.joint:
            return by_class(self.networks, x, classes).float()
        logits = self.networks[0](x).float()
        return logits[torch.arange(len(x), device=x.device), classes][:, None]


def _make(channels: int, outputs: int, width: int, depth: int) -> nn.Sequential:
    widths = [width * 2**level for level in range(depth)]
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for narrow, wide in pairwise(widths):
        layers += [nn.Conv2d(narrow, wide, 4, 2, 1, bias=False), InstanceNorm(wide), nn.LeakyReLU(0.2)]
    layers.append(nn.Conv2d(widths[-1], outputs, 3, padding=1))
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)
