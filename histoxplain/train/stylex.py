"""Train an encoder beside the GAN, so that latents are made to describe real images (StylEx; Lang et al., 2021).

For StylEx itself the labels are a classifier's probabilities (`GANConfig.label_classifier`): they reach the generator
through its mapping network, with the latents of noise, and a guide (`GANConfig.guide`) asks that what is drawn, from
noise or from a real image, be given the very probabilities it was drawn for.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from histoxplain.metrics.perceptual import PerceptualDistance
from histoxplain.models.encoder import Encoder, load_encoder, save_encoder
from histoxplain.models.stylegan2 import EncoderConfig
from histoxplain.train.ema import update_ema
from histoxplain.train.gan import GANTraining
from histoxplain.train.grow import transfer
from histoxplain.train.losses import reconstruction_loss
from histoxplain.train.origin import origin


class StylExTraining(GANTraining):
    """A GAN half of whose fakes are reconstructions of real images.

    The generator and the encoder share three aims: fool the discriminator with both halves, restore the real images
    (`reconstruct_weight`), and find the latents of the others again (`latent_weight`), which keeps every latent visible
    in its image.
    """

    def _build(self) -> None:
        super()._build()
        config, size = self.config, self.G.config
        shape = EncoderConfig(
            resolution=size.resolution,
            channels=size.channels,
            channel_base=size.channel_base,
            channel_max=size.channel_max,
            w_dim=size.w_dim,
            num_ws=size.num_ws,
        )
        self.E = Encoder(shape).to(self.device).set_precision(config.precision)
        before = config.start_from and origin(config.start_from, "encoder")
        if before:
            transfer(self.E, load_encoder(before, "cpu"))
        self.perceptual = PerceptualDistance().to(self.device) if config.perceptual_weight else None
        self.ema_e = deepcopy(self.E).eval().requires_grad_(False)

    def _trained_by_g(self) -> list[torch.nn.Module]:
        return [self.G, self.E]

    def _fakes(self, batch: int) -> tuple[Tensor, Tensor | None]:
        """Half reconstructions of the current real images, half from noise; remembers the latents of both."""
        half = batch // 2
        found = self.E(self.real[:half])
        drawn, c = self._fake_latents(batch - half)
        self.drawn = drawn
        fake = self._draw(torch.cat([found, drawn]))
        return fake, None if c is None else torch.cat([self.real_c[:half], c])

    def _extra_loss(self, fake: Tensor, c: Tensor | None) -> Tensor:
        half = len(fake) // 2
        restored = reconstruction_loss(fake[:half], self.real[:half])
        again = (self.E(fake[half:]) - self.drawn.detach()).abs().mean()
        self._note("reconstruction", restored)
        self._note("latent", again)
        config = self.config
        loss = super()._extra_loss(fake, c) + config.reconstruct_weight * restored + config.latent_weight * again
        if self.perceptual is not None:
            seen = self.perceptual(fake[:half], self.real[:half]).mean()
            self._note("perceptual", seen)
            loss = loss + config.perceptual_weight * seen
        return loss

    def _average(self, beta: float) -> None:
        super()._average(beta)
        update_ema(self.ema_e, self.E, beta)

    def _parts(self) -> dict[str, Any]:
        return {**super()._parts(), "E": self.E, "ema_e": self.ema_e}

    def save(self, out: Path, log_lines: int) -> None:
        """Write the encoder too; see `GANTraining.save`."""
        save_encoder(out / "encoder.safetensors", self.ema_e, {**self.origin, "images_seen": self.images_seen})
        super().save(out, log_lines)
