"""Train an encoder beside a projected GAN, so that the generator's latents cover the real images.

A GAN on few images forgets most of them and draws one layout in many colours. Here half of the fakes are
reconstructions, held to their originals in the pretrained features that the discriminator sees anyway. The mapping
network is not taught to please the discriminator at all, only to distribute its latents as the encoder does those of
real images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoxplain.models import save_checkpoint
from histoxplain.models.feature_encoder import KIND, FeatureEncoder
from histoxplain.train.descent import apply_gradients
from histoxplain.train.distributed import gather, joint_draws, mean
from histoxplain.train.grow import transfer
from histoxplain.train.layouts import SIDE, learn_layouts
from histoxplain.train.loop import progress
from histoxplain.train.losses import energy_distance, reconstruction_loss
from histoxplain.train.origin import own_state
from histoxplain.train.projected import ProjectedTraining, jitter

RESTORED = 0.5
"""Share of the fakes that are reconstructions of real images."""
COLOURS = 16
"""Weight of a reconstruction's colours at 16, 8 and 4 px, beside that of its features."""
VIEWS, VIEWS_EACH = 8192, 16
"""Turned and flipped images that the layouts are learnt from, at most: in all, and of one image."""
BANK = 2048
"""Latents of real images that the mapping network's are compared with."""
DRAWN = 128
"""Latents it draws for that at each step."""
MAPPING_RATE = 100
"""Learning rate of its layers, whose weights are scaled by 0.01, in that of the other networks."""


class ProjectedStylExTraining(ProjectedTraining):
    """A projected GAN half of whose fakes are reconstructions of real images."""

    def _build(self) -> None:
        super()._build()
        config = self.config
        self.E = FeatureEncoder(self.G.w_dim, self.G.img_channels).to(self.device)
        before = own_state(config.start_from, "encoder", KIND)
        if before is not None:
            transfer(self.E, before)
        self.bank = torch.zeros(BANK, self.G.w_dim, device=self.device)
        self.bank_c = torch.zeros(BANK, max(self.G.c_dim, 1), device=self.device)
        self.banked = 0
        labels = [p for name, p in self.G.mapping.named_parameters() if name.startswith("embed")]
        layers = [p for name, p in self.G.mapping.named_parameters() if not name.startswith("embed")]
        groups = [{"params": layers, "lr": config.lr * MAPPING_RATE}, {"params": labels}]
        self.opt_mapping = torch.optim.Adam(groups[: 1 + bool(labels)], lr=config.lr, betas=(0.9, 0.99), fused=True)

    def _trained_by_g(self) -> list[nn.Module]:
        return [self.G.synthesis, self.E]

    def prepare(self, quiet: bool) -> None:
        """Learn layouts first, if configured; see `learn_layouts`."""
        if self.config.layout_steps:
            learn_layouts(self.G.synthesis, self.E, self._views(quiet), self.config.layout_steps, quiet=quiet)
            self.ema.load_state_dict(self.G.state_dict())

    @torch.no_grad()
    def _views(self, quiet: bool) -> Iterator[tuple[list[Tensor], Tensor]]:
        count = min(VIEWS, VIEWS_EACH * len(self.pixels))
        with progress(count, 0, "look at images", "img", quiet) as bar:
            for _ in range(0, count, self.config.batch):
                real, _ = self._reals()
                yield [gather(x) for x in self.project(real)[-3:]], gather(real)
                bar.update(self.config.batch)

    def step(self) -> None:
        """See `GANTraining.step`; an image and its reconstruction are augmented alike."""
        self.seed = int(torch.randint(2**31, (), generator=self.rng, device=self.device))
        super().step()
        uncovered = self._uncovered()
        if uncovered:
            loss = torch.stack(uncovered).mean()
            self._note("uncovered", loss)
            apply_gradients(loss, self.opt_mapping)

    def _update_generator(self) -> None:
        with torch.no_grad():
            self.real_maps = self.project(self._jitter(self.real))
        super()._update_generator()

    def _jitter(self, images: Tensor) -> Tensor:
        with joint_draws():
            return jitter(images, torch.Generator(self.device).manual_seed(self.seed))

    def _fakes(self, batch: int) -> tuple[Tensor, Tensor | None]:
        """Reconstructions of the current real images, and the rest from noise."""
        restored = int(batch * RESTORED)
        real = self.real[:restored]
        with torch.no_grad():
            maps = self.project(real)
        self.found = self.E(maps, real)
        drawn, c = self._fake_latents(batch - restored)
        ws = torch.cat([self.found[:, None].expand(-1, self.G.num_ws, -1), drawn.detach()])
        fake = self._draw(ws)
        return fake, None if c is None else torch.cat([self.real_c[:restored], c])

    def _judge(self, images: Tensor, c: Tensor | None) -> Tensor:
        if images is self.real:
            return self.D(self.real_maps, c)
        self.fake_maps = self.project(self._jitter(images))
        self.judged = [x.detach() for x in self.fake_maps], c
        return self.D(self.fake_maps, c)

    def _extra_loss(self, fake: Tensor, c: Tensor | None) -> Tensor:
        n = len(self.found)
        restored = feature_loss([x[:n] for x in self.fake_maps], [x[:n] for x in self.real_maps], mean)
        colours = reconstruction_loss(*(F.adaptive_avg_pool2d(x[:n], SIDE) for x in (fake, self.real)), octaves=3)
        self._note("reconstruction", restored)
        self._note("colours", colours)
        return super()._extra_loss(fake, c) + self.config.reconstruct_weight * (restored + COLOURS * colours)

    def _uncovered(self) -> list[Tensor]:
        """How differently the mapping network's and the last real images' latents are distributed, for each class."""
        device, found = self.device, gather(self.found.detach())
        where = (self.banked + torch.arange(len(found), device=device)) % BANK
        self.bank[where] = found
        self.bank_c[where] = 1.0 if self.real_c is None else gather(self.real_c[: len(self.found)])
        self.banked += len(found)
        known = min(self.banked, BANK)
        z = torch.randn(DRAWN, self.config.z_dim, generator=self.rng, device=device)
        parts = []
        for label in torch.eye(self.bank_c.shape[1], device=device):
            latents = self.bank[:known][self.bank_c[:known].argmax(1) == label.argmax()]
            if len(latents) > 1:
                w = self.G.mapping(z, None if self.real_c is None else label.expand(DRAWN, -1))[:, 0]
                scale = latents.std(0).mean() + 1e-8
                parts.append(energy_distance(w / scale, latents / scale))
        return parts

    def _parts(self) -> dict[str, Any]:
        return {**super()._parts(), "E": self.E, "opt_mapping": self.opt_mapping}

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes while training."""
        return {**super().state_dict(), "bank": self.bank, "bank_c": self.bank_c, "banked": self.banked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        super().load_state_dict(state)
        self.bank, self.bank_c = state["bank"].to(self.device), state["bank_c"].to(self.device)
        self.banked = state["banked"]

    def save(self, out: Path, log_lines: int) -> None:
        """Write the encoder too; see `ProjectedTraining.save`."""
        config = {"w_dim": self.E.w_dim, "channels": self.G.img_channels}
        save_checkpoint(out / "encoder.safetensors", self.E.state_dict(), kind=KIND, config=config, meta=self.origin)
        super().save(out, log_lines)


def feature_loss(fake: list[Tensor], real: list[Tensor], mean: Callable[[Tensor], Tensor] = lambda x: x) -> Tensor:
    """How far fakes are from their originals in projected features: textures at fine scales, places at coarse ones.

    Fine maps are compared by the mean and the deviation of each channel over the image, since no latent can say where
    each nucleus lies; coarse maps also place by place. Each term is relative to how much the originals differ.

    Args:
        fake, real: maps of `FeatureProjector`, image by image in the same order.
        mean: over the processes that share a batch.

    Returns:
        A scalar, 0 for equal maps.
    """
    terms = []
    for x, y in zip(fake, real):
        x, y = x.float(), y.float()
        terms += [_relative(x.mean((2, 3)), y.mean((2, 3)), mean), _relative(x.std((2, 3)), y.std((2, 3)), mean)]
    terms += [_relative(x.float(), y.float(), mean) for x, y in zip(fake[2:], real[2:])]
    return torch.stack(terms).mean()


def _relative(x: Tensor, y: Tensor, mean: Callable[[Tensor], Tensor]) -> Tensor:
    return (x - y).abs().mean() / (mean((y - mean(y.mean(0))).abs().mean()) + 1e-8)
