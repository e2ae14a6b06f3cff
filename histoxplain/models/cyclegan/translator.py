"""The translator: what an image would look like if it were of another class."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain._checks import check, check_images
from histoxplain._device import resolve_precision
from histoxplain.models.cyclegan.config import TranslatorConfig
from histoxplain.models.cyclegan.generators import AttentionUNet, ResNetGenerator
from histoxplain.models.cyclegan.layers import by_class, grown, planes, start_small


class Translator(nn.Module):
    """Turns images into images of a target class: CycleGAN's pair of generators, or one that is told the target.

    Of a pair, network k makes images of class k. A joint network sees the target as constant maps beside the image.

    Args:
        config: the shape.

    Example:
        >>> T = Translator(TranslatorConfig(class_names=("normal", "pneumonia"), resolution=32, width=4))
        >>> T(torch.zeros(2, 1, 32, 32), torch.tensor([1, 0])).shape
        torch.Size([2, 1, 32, 32])
    """

    def __init__(self, config: TranslatorConfig) -> None:
        super().__init__()
        self.config, self.dtype = config, torch.float32
        count = 1 if config.joint else len(config.class_names)
        self.networks = nn.ModuleList(_make(config) for _ in range(count))
        start_small(self)
        for network in self.networks if config.residual else ():
            nn.init.zeros_(network.out.weight)  # at first nothing changes

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, by number."""
        return self.config.class_names

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return self.config.channels

    @property
    def resolution(self) -> int:
        """Side in pixels of the images it was trained on."""
        return self.config.resolution

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Translate.

        Args:
            x: images `(N, C, H, W)` in `[-1, 1]`, of any size.
            target: the class asked for, `(N,)`, integers.

        Returns:
            Images `(N, C, H, W)` in `[-1, 1]`, float32.

        Raises:
            InputError: on images of another shape or number of channels, or a target for another number of images.
        """
        check_images("x", x, self.channels)
        check(target.shape == (len(x),), "target", f"have shape ({len(x)},)", tuple(target.shape))
        networks, seen = self.networks, x
        if self.config.joint:
            seen, target = torch.cat([x, planes(target, len(self.class_names), x)], 1), torch.zeros_like(target)
        reduced = self.dtype != torch.float32
        with torch.autocast(x.device.type, self.dtype) if reduced else nullcontext():
            drawn = by_class(networks, self._ready(seen), target)
        return self._image(x, drawn)

    def _ready(self, x: Tensor) -> Tensor:
        network, shrink = self.networks[0], self.config.shrink
        x = grown(x, network.multiple * shrink, network.least * shrink)
        x = F.avg_pool2d(x, shrink) if shrink > 1 else x
        return x.contiguous(memory_format=torch.channels_last)

    def _image(self, x: Tensor, drawn: Tensor) -> Tensor:
        drawn, shrink = torch.tanh(drawn.float()), self.config.shrink
        if shrink > 1:
            drawn = F.interpolate(drawn, scale_factor=shrink, mode="bilinear", align_corners=False)
        drawn = drawn[..., : x.shape[-2], : x.shape[-1]]
        return (x + 2 * drawn).clamp(-1, 1) if self.config.residual else drawn

    def set_precision(self, precision: str = "auto") -> Translator:
        """Compute convolutions in "float32", "bfloat16", "float16" or "auto"; returns self."""
        self.dtype = resolve_precision(precision, next(self.parameters()).device)
        return self


def _make(config: TranslatorConfig) -> nn.Module:
    inputs = config.channels + (len(config.class_names) if config.joint else 0)
    if config.architecture == "resnet":
        network = ResNetGenerator(inputs, config.channels, config.width, config.blocks)
    else:
        network = AttentionUNet(inputs, config.channels, config.width, config.depth)
    return network.to(memory_format=torch.channels_last)
