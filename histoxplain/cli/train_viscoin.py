"""Train concepts: what a classifier looks for, in a few dozen parts that a generator can show (VisCoIN).

RUN receives config.json, log.jsonl, sheets of reconstructions and of concepts, concepts.safetensors (averaged weights,
to use) and state.pt. An interrupted training continues exactly with --resume. Classifier, generator and encoder stay as
they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tyro.conf import OmitArgPrefixes

from histoxplain.cli.beside import BesideCommand
from histoxplain.train.config_viscoin import ViscoinConfig


@dataclass(frozen=True)
class Command(BesideCommand):
    """Options of `histoxplain train viscoin`."""

    encoder: Path | None = None
    """Encoder checkpoint, in place of the bundle's, which is left out with another generator."""
    config: OmitArgPrefixes[ViscoinConfig] = field(default_factory=ViscoinConfig)

    def __call__(self) -> None:
        """Train, and say where the concepts are."""
        known, generator, classifier = self.networks("concepts")
        from histoxplain.models import load_encoder
        from histoxplain.train.viscoin import train_viscoin

        encoder = known.encoder if known is not None and self.generator is None else None
        encoder = encoder if self.encoder is None else load_encoder(self.encoder)
        names = self.names("bundle", "generator", "classifier", "encoder")
        more = {"encoder": encoder, "resume": self.resume, "names": names}
        path = train_viscoin(self.data, self.out, classifier, generator, self.config, **more)
        print(f"concepts -> {path}")
