"""Train an encoder for a generator that exists: it finds the latents and the detail of an image at once.

RUN receives config.json, log.jsonl, sample sheets (originals above reconstructions), encoder.safetensors (averaged
weights, to use) and state.pt. An interrupted training continues exactly with --resume.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tyro.conf import OmitArgPrefixes

from histoxplain.cli.beside import BesideCommand
from histoxplain.train.config_encoder import EncoderTrainingConfig


@dataclass(frozen=True)
class Command(BesideCommand):
    """Options of `histoxplain train encoder`."""

    config: OmitArgPrefixes[EncoderTrainingConfig] = field(default_factory=EncoderTrainingConfig)

    def __call__(self) -> None:
        """Train, and say where the encoder is."""
        _, generator, classifier = self.networks("an encoder")
        from histoxplain.train.encoder import train_encoder

        names = self.names("bundle", "generator", "classifier")
        path = train_encoder(self.data, self.out, generator, classifier, self.config, resume=self.resume, names=names)
        print(f"encoder -> {path}")
