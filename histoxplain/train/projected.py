"""A discriminator that looks at pretrained features, for data or machines too small for one from scratch.

After Sauer et al., Projected GANs Converge Faster (2021), with EfficientNet-Lite0's ImageNet features.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrizations import spectral_norm

from histoxplain.metrics.features import FeatureNet
from histoxplain.models import save_checkpoint, save_generator
from histoxplain.train.distributed import joint_draws
from histoxplain.train.gan import GANTraining
from histoxplain.train.grow import transfer
from histoxplain.train.loop import STATE, save_snapshot
from histoxplain.train.origin import own_state

TAPS = {2: 24, 4: 40, 10: 112, 15: 320}
"""Blocks of EfficientNet-Lite0 whose outputs are judged (at 1/4, 1/8, 1/16 and 1/32 of the side) -> channels."""
KIND = "projected.discriminator"
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


class ProjectedDiscriminator(nn.Module):
    """One small convolutional judge for each scale, conditioned by projection on the label.

    Args:
        c_dim: number of classes; 0 is unconditional.
        resolution: side of the images, at least 64.
        width: channels of the maps it is given.
    """

    def __init__(self, c_dim: int, resolution: int, width: int = WIDTH) -> None:
        super().__init__()
        self.c_dim = c_dim
        self.heads = nn.ModuleList()
        for scale in range(len(TAPS)):
            layers, side = [], resolution // 4 // 2**scale
            while side > 4:
                layers += [spectral_norm(nn.Conv2d(width, width, 4, 2, 1)), nn.LeakyReLU(0.2)]
                side //= 2
            layers.append(spectral_norm(nn.Conv2d(width, width if c_dim else 1, side, bias=not c_dim)))
            self.heads.append(nn.Sequential(*layers))
        self.embed = nn.Linear(c_dim, width * len(TAPS)) if c_dim else None

    def forward(self, maps: list[Tensor], c: Tensor | None) -> Tensor:
        """Maps of `FeatureProjector` and one-hot labels to logits `(N, 4)`, one for each scale."""
        logits = torch.stack([head(x).flatten(1) for head, x in zip(self.heads, maps)], 1)
        if self.embed is None:
            return logits.squeeze(2)
        label = F.normalize(self.embed(c).unflatten(1, logits.shape[1:]), dim=2)
        return (logits * label).sum(2)


class ProjectedTraining(GANTraining):
    """A GAN whose discriminator judges pretrained features: hinge loss, no R1, light augmentation of what it sees."""

    def _build(self) -> None:
        self.G = self._generator()
        self.ema = deepcopy(self.G).eval().requires_grad_(False)
        self.project = FeatureProjector().to(self.device)
        self.D = ProjectedDiscriminator(self.G.c_dim, max(self.G.img_resolution, LEAST)).to(self.device)
        before = own_state(self.config.start_from, "discriminator", KIND)
        if before is not None:
            transfer(self.D, before)

    def _judge(self, images: Tensor, c: Tensor | None) -> Tensor:
        with joint_draws():
            jittered = jitter(images, self.rng)
        maps = self.project(jittered)
        self.judged = [x.detach() for x in maps], c
        return self.D(maps, c)

    def _fake_logits(self) -> Tensor:
        """Of the fakes that the generator's step has just made: their features cost more than judging them."""
        return self.D(*self.judged)

    @staticmethod
    def _fooled(fake_logits: Tensor) -> Tensor:
        return -fake_logits.mean(0).sum()

    @staticmethod
    def _told_apart(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return (F.relu(1 - real_logits) + F.relu(1 + fake_logits)).mean(0).sum()

    def _regularise_r1(self, real: Tensor, c: Tensor | None) -> None:
        """Spectral normalisation keeps this discriminator smooth."""

    def _parts(self) -> dict[str, Any]:
        return {**super()._parts(), "project": self.project}

    def save(self, out: Path, log_lines: int) -> None:
        """Write the averaged generator, the judges and the state for a resume."""
        meta = {"images_seen": self.images_seen}
        save_generator(out / "generator.safetensors", self.ema, meta)
        config = {"c_dim": self.D.c_dim, "resolution": self.G.img_resolution}
        save_checkpoint(out / "discriminator.safetensors", self.D.state_dict(), kind=KIND, config=config)
        save_snapshot(out / STATE, {**self.state_dict(), "log_lines": log_lines})


def jitter(images: Tensor, rng: torch.Generator) -> Tensor:
    """Shift by up to an eighth, blank a square of half the side, change brightness, saturation and contrast a little.

    After Zhao et al., Differentiable Augmentation (2020).

    Args:
        images: `(N, C, H, W)`; gradients flow through.
        rng: source of random numbers.
    """
    n, _, height, width = images.shape
    device = images.device

    def draw(*shape: int) -> Tensor:
        return torch.rand((n, *shape), generator=rng, device=device)

    images = images + (draw(1, 1, 1) - 0.5)
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * (2 * draw(1, 1, 1)) + grey
    middle = images.mean((1, 2, 3), keepdim=True)
    images = (images - middle) * (0.5 + draw(1, 1, 1)) + middle
    reach = width // 8
    shift = (draw(2) * (2 * reach + 1)).long()
    padded = F.pad(images, (reach,) * 4)
    images = torch.stack([x[:, top : top + height, left : left + width] for x, (top, left) in zip(padded, shift)])
    centre = draw(2) * torch.tensor([height, width], device=device)
    far = [
        (torch.arange(side, device=device) - centre[:, axis, None]).abs() > side / 4
        for axis, side in enumerate((height, width))
    ]
    return images * (far[0][:, None, :, None] | far[1][:, None, None, :])


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
