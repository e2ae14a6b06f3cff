"""Train an encoder for a generator that exists: it finds the latents and the detail of an image at once.

RUN receives config.json, log.jsonl, sample sheets (originals above reconstructions), encoder.safetensors (averaged
weights, to use) and state.pt. An interrupted training continues exactly with --resume.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from histoxplain._checks import check
from histoxplain.train.config_encoder import EncoderTrainingConfig


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain train encoder`."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """LMDB made by `histoxplain prepare`; its train split is used."""
    out: Annotated[Path, arg(metavar="RUN")]
    """Folder for everything the training writes."""
    bundle: str | None = None
    """Bundle, by name or folder, whose generator and classifier to take."""
    generator: Path | None = None
    """Generator checkpoint: ours, NVIDIA's .pkl, rosinality's .pt; in place of the bundle's."""
    classifier: Path | None = None
    """Classifier checkpoint, in place of the bundle's."""
    resume: bool = False
    """Continue the training in RUN exactly where its last snapshot stands."""
    config: OmitArgPrefixes[EncoderTrainingConfig] = field(default_factory=EncoderTrainingConfig)

    def __call__(self) -> None:
        """Train, and say where the encoder is."""
        both = self.generator is not None and self.classifier is not None
        check(self.bundle is not None or both, "bundle", "be named, or a generator and a classifier", None)
        from histoxplain.models import load_bundle, load_classifier, load_generator
        from histoxplain.train.encoder import train_encoder

        known = load_bundle(self.bundle) if self.bundle is not None else None
        generator = known.generator if self.generator is None else load_generator(self.generator)
        classifier = known.classifier if self.classifier is None else load_classifier(self.classifier)
        named = {"bundle": self.bundle, "generator": self.generator, "classifier": self.classifier}
        names = {role: None if name is None else str(name) for role, name in named.items()}
        path = train_encoder(self.data, self.out, generator, classifier, self.config, resume=self.resume, names=names)
        print(f"encoder -> {path}")
