"""Train a class-conditional StyleGAN2-ADA on prepared data.

RUN receives config.json, log.jsonl, sample grids (one row a class), generator.safetensors (the averaged generator, to
use), discriminator.safetensors and state.pt (to resume). An interrupted training continues exactly with --resume.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from histoxplain.train.config_gan import GANConfig


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain train gan`."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """LMDB made by `histoxplain prepare`; its train split is used."""
    out: Annotated[Path, arg(metavar="RUN")]
    """Folder for everything the training writes."""
    resume: bool = False
    """Continue the training in RUN exactly where its last snapshot stands."""
    config: OmitArgPrefixes[GANConfig] = field(default_factory=GANConfig)

    def __call__(self) -> None:
        """Train, and say where the generator is."""
        from histoxplain.train.gan import train_gan

        path = train_gan(self.data, self.out, self.config, resume=self.resume)
        print(f"generator -> {path}")
