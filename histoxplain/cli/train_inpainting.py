"""Train counterfactual inpainting: a network that makes abnormal images normal, so that the difference marks a finding.

Only labels of whole images are used. RUN receives config.json, log.jsonl, sample pictures (for each class a row of
images, how they look as normal, and the difference), inpainter.safetensors (the averaged network, to use) and state.pt
(to resume). An interrupted training continues exactly with --resume.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from histoxplain.train.config_inpainting import InpaintingConfig


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain train inpainting`."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """Data made by `histoxplain prepare`, or a folder with a folder per class; the train split is used."""
    classifier: Path
    """Checkpoint of the classifier that tells normal from abnormal, of the same classes."""
    out: Annotated[Path, arg(metavar="RUN")]
    """Folder for everything the training writes."""
    resume: bool = False
    """Continue the training in RUN exactly where its last snapshot stands."""
    config: OmitArgPrefixes[InpaintingConfig] = field(default_factory=InpaintingConfig)

    def __call__(self) -> None:
        """Train, and say where the inpainter is."""
        from histoxplain.train.inpainting import train_inpainting

        path = train_inpainting(self.data, self.classifier, self.out, self.config, resume=self.resume)
        print(f"inpainter -> {path}")
