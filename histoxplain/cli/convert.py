"""Convert checkpoints: NVIDIA's StyleGAN2 pickles, rosinality's and HistoXplaining's .pt files to ours, and back.

Nothing in a foreign file is run. HistoXplaining's networks draw images normalised as ImageNet's: convert them with
--image-range imagenet to use them with the rest of histoxplain.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain convert`."""

    source: Annotated[Positional[Path], arg(metavar="SOURCE")]
    """A .pkl, .pt or .safetensors file, or a folder with generator.safetensors and its companions."""
    destination: Annotated[Positional[Path], arg(metavar="DESTINATION")]
    """A folder for all networks of SOURCE, a .safetensors file for its generator, or a .pt file for other code."""
    layout: Literal["rosinality", "nvidia"] = "rosinality"
    """Whose names a .pt file takes."""
    image_range: Literal["unit", "imagenet"] = "unit"
    """What SOURCE's images are: in [-1, 1], or normalised with ImageNet's mean and deviation."""
    class_names: tuple[str, ...] = ()
    """Names of the classes, in the order of the label."""
    overwrite: bool = False
    """Replace files that exist."""

    def __call__(self) -> None:
        """Convert, and say what was written."""
        from histoxplain.models import convert

        done = convert(
            self.source,
            self.destination,
            layout=self.layout,
            image_range=self.image_range,
            class_names=self.class_names,
            overwrite=self.overwrite,
        )
        for path in done.files:
            print(f"{self.source} -> {path}")
        for note in done.notes:
            print(f"  note: {note}")
