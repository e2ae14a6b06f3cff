"""Train a CycleGAN whose translations change a classifier's mind: counterfactuals without a search.

RUN receives config.json, log.jsonl, sample pictures (for each class a row of images, their translations, and the way
back), translator.safetensors (the averaged translator, to use) and state.pt (to resume). An interrupted training
continues exactly with --resume.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from histoxplain.train.config_cyclegan import CycleGANConfig


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain train cyclegan`."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """Data made by `histoxplain prepare`, or a folder with a folder per class; the train split is used."""
    classifier: Path
    """Checkpoint of the classifier whose mind is to change, of the same classes."""
    out: Annotated[Path, arg(metavar="RUN")]
    """Folder for everything the training writes."""
    resume: bool = False
    """Continue the training in RUN exactly where its last snapshot stands."""
    config: OmitArgPrefixes[CycleGANConfig] = field(default_factory=CycleGANConfig)

    def __call__(self) -> None:
        """Train, and say where the translator is."""
        from histoxplain.train.cyclegan import train_cyclegan

        path = train_cyclegan(self.data, self.classifier, self.out, self.config, resume=self.resume)
        print(f"translator -> {path}")
