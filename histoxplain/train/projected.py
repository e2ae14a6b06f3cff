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
from torch.nn.utils.parametrizations import spectral_norm

from histoxplain.models import save_checkpoint, save_generator
from histoxplain.models.projector import LEAST, TAPS, WIDTH, FeatureProjector
from histoxplain.train.distributed import joint_draws
from histoxplain.train.gan import GANTraining
from histoxplain.train.grow import transfer
from histoxplain.train.loop import STATE, save_snapshot
from histoxplain.train.origin import own_state

KIND = "projected.discriminator"


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

    def _opinions(self, real: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """Fakes are those that the generator's step has just made: their features cost more than judging them."""
        fake_logits = self.D(*self.judged)
        return self._judge(real, c), fake_logits

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
        meta = {**self.origin, "images_seen": self.images_seen}
        save_generator(out / "generator.safetensors", self.ema, meta)
        config = {"c_dim": self.D.c_dim, "resolution": self.G.img_resolution}
        save_checkpoint(out / "discriminator.safetensors", self.D.state_dict(), kind=KIND, config=config, meta=meta)
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
