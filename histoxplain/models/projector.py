"""Pretrained features of an image at four scales, in as many channels each: what encoders and discriminators look at.

After Sauer et al., Projected GANs Converge Faster (2021), with EfficientNet-Lite0's ImageNet features.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from histoxplain.models.features import FeatureNet

TAPS = {2: 24, 4: 40, 10: 112, 15: 320}
"""Blocks of EfficientNet-Lite0 whose outputs are judged (at 1/4, 1/8, 1/16 and 1/32 of the side) -> channels."""
WIDTH = 64
LEAST = 128
"""Smaller images are enlarged to this side before their features are taken."""


class FeatureProjector(nn.Module):
    """Pretrained features at four scales, mixed across channels and scales by fixed random convolutions."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.net = _folded(FeatureNet())
        self.across_channels = nn.ModuleList(nn.Conv2d(channels, width, 1, bias=False) for channels in TAPS.values())
        self.across_scales = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in TAPS)
        fixed = torch.Generator().manual_seed(0)  # the same projection in every training
        for layer in (*self.across_channels, *self.across_scales):
            nn.init.kaiming_normal_(layer.weight, generator=fixed)
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> FeatureProjector:
        """Stays in evaluation mode."""
        return super().train(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Images `(N, C, H, W)` in [-1, 1] to four maps `(N, width, H / 4, W / 4)` ... `(N, width, H / 32, W / 32)`."""
        network, maps = self.net.network, []
        if x.shape[-1] < LEAST:
            x = F.interpolate(x, size=(LEAST, LEAST), mode="bilinear", align_corners=False)
        x = self.net.normalise(x).contiguous(memory_format=torch.channels_last)
        x = network._swish(network._bn0(network._conv_stem(x)))
        for index, block in enumerate(network._blocks):
            x = block(x)
            if index in TAPS:
                maps.append(self.across_channels[len(maps)](x))
        mixed = [self.across_scales[-1](maps[-1])]
        for layer, finer in zip(self.across_scales[-2::-1], maps[-2::-1]):
            above = F.interpolate(mixed[0], size=finer.shape[-2:], mode="bilinear", align_corners=False)
            mixed.insert(0, layer(finer + above))
        return mixed


@cache
def projector(device: str = "cpu") -> FeatureProjector:
    """A `FeatureProjector`, built once for each device."""
    return FeatureProjector().to(device)


def _folded(net: FeatureNet) -> FeatureNet:
    """The same features with batch normalisation folded into the convolutions and the classification head left out."""
    network = net.network
    network._conv_stem, network._bn0 = fuse_conv_bn_eval(network._conv_stem, network._bn0), nn.Identity()
    for block in network._blocks:
        for conv, norm in (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")):
            if hasattr(block, conv):
                setattr(block, conv, fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm)))
                setattr(block, norm, nn.Identity())
    del network._conv_head, network._bn1, network._fc
    return net
