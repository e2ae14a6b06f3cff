"""Train concepts: what a classifier looks for, in a few dozen parts that a generator can show (VisCoIN).

RUN receives config.json, log.jsonl, sheets of reconstructions and of concepts, concepts.safetensors (averaged weights,
to use) and state.pt. An interrupted training continues exactly with --resume. Classifier, generator and encoder stay as
they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from histoxplain._checks import check
from histoxplain.train.config_viscoin import ViscoinConfig


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain train viscoin`."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """LMDB made by `histoxplain prepare`; its train split is used."""
    out: Annotated[Path, arg(metavar="RUN")]
    """Folder for everything the training writes."""
    bundle: str | None = None
    """Bundle, by name or folder, whose networks to take."""
    generator: Path | None = None
    """Generator checkpoint: ours, NVIDIA's .pkl, rosinality's .pt; in place of the bundle's, and of its encoder."""
    classifier: Path | None = None
    """Classifier checkpoint, in place of the bundle's."""
    encoder: Path | None = None
    """Encoder checkpoint, in place of the bundle's."""
    resume: bool = False
    """Continue the training in RUN exactly where its last snapshot stands."""
    config: OmitArgPrefixes[ViscoinConfig] = field(default_factory=ViscoinConfig)

    def __call__(self) -> None:
        """Train, and say where the concepts are."""
        both = self.generator is not None and self.classifier is not None
        check(self.bundle is not None or both, "bundle", "be named, or a generator and a classifier", None)
        from histoxplain.models import load_bundle, load_classifier, load_encoder, load_generator
        from histoxplain.models.bundle import check_part
        from histoxplain.train.viscoin import train_viscoin

        known = load_bundle(self.bundle) if self.bundle is not None else None
        if self.generator is None:
            check_part(known, "generator", "concepts")
        generator = known.generator if self.generator is None else load_generator(self.generator)
        classifier = known.classifier if self.classifier is None else load_classifier(self.classifier)
        encoder = known.encoder if known is not None and self.generator is None else None
        encoder = encoder if self.encoder is None else load_encoder(self.encoder)
        named = {role: getattr(self, role) for role in ("bundle", "generator", "classifier", "encoder")}
        names = {role: None if name is None else str(name) for role, name in named.items()}
        more = {"encoder": encoder, "resume": self.resume, "names": names}
        path = train_viscoin(self.data, self.out, classifier, generator, self.config, **more)
        print(f"concepts -> {path}")
