"""Find the latents that draw images: where real images lie in a generator's space, with or without labels.

NETWORK is a bundle, the folder of a training, or a checkpoint file of ours, NVIDIA's (.pkl) or rosinality's (.pt).
Writes OUT/<id>/ with projected.png, latent.safetensors (or .npz, which NVIDIA's generate.py takes) and projection.json
for every image.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from torch.nn import Module

    from histoxplain.explain import Projection
    from histoxplain.models import Bundle

SMALLEST, LARGEST = 64, 256
"""Sides at which images are compared by their features; others are resized."""


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain project`."""

    network: Annotated[Positional[str], arg(metavar="NETWORK")]
    """A bundle, a training's folder or a checkpoint file."""
    images: Annotated[Positional[tuple[Path, ...]], arg(metavar="IMAGE...")]
    """Image files, or folders of them."""
    out: Path = Path("outputs/project")
    """Folder to write to."""
    class_: Annotated[str | None, arg(name="class", metavar="NAME")] = None
    """The class of the images; by default the classifier's opinion, or that of the most similar sample."""
    space: Literal["w+", "w"] = "w+"
    """One latent for each layer, which is closer, or one for all, which is easier to edit."""
    steps: int = 200
    """Gradient steps; more of them is closer and slower."""
    format: Literal["safetensors", "npz"] = "safetensors"
    """Of the file with the latent."""
    fit: bool = False
    """Crop, resize and convert images of another size or kind instead of refusing them."""
    seed: int = 0
    """Fixes every draw."""

    def __call__(self) -> None:
        """Project, and say how close the images are."""
        from histoxplain.cli.image_files import image_files, names_of
        from histoxplain.cli.network import labels_of, open_network
        from histoxplain.explain import Projector, image_of

        files = image_files(self.images)
        bundle = open_network(self.network)
        label = labels_of(bundle, self.class_)[0] if self.class_ is not None else None
        images = [image_of(file, bundle, fit=self.fit) for file in files]
        how = {"space": self.space, "steps": self.steps, "seed": self.seed}
        projector = Projector(bundle, eyes=eyes_of(bundle), **how)
        for name, file, image in zip(names_of(files), files, images):
            began = time.perf_counter()
            found = projector(image[None], label, progress=True)
            about = {"image": file.name, "network": bundle.name, "seconds": round(time.perf_counter() - began, 2)}
            print(f"{file} -> {write(self, self.out / name, found, about)}, PSNR {found.psnr[0]:.1f} dB")


def eyes_of(bundle: Bundle) -> Module | None:
    """ImageNet features, for a generator that comes without a classifier, at the side of its images within limits."""
    from histoxplain.explain import Unjudged
    from histoxplain.metrics import FeatureNet

    if not isinstance(bundle.classifier, Unjudged):
        return None
    return FeatureNet(min(LARGEST, max(bundle.generator.img_resolution, SMALLEST)))


def write(command: Command, folder: Path, found: Projection, about: dict[str, Any]) -> Path:
    """Write the picture, the latent and what is known about them; returns the folder."""
    import json

    from histoxplain._atomic import replacing
    from histoxplain.explain import save_latents
    from histoxplain.train.samples import save_picture, tiled

    latent = f"latent.{command.format}"
    save_picture(folder / "projected.png", tiled(found.images[:1], 1))
    save_latents(folder / latent, found.ws[:1])
    how = {name: getattr(command, name) for name in ("space", "steps", "seed")}
    figures = {"l1": round(found.l1[0], 6), "psnr": round(found.psnr[0], 3)}
    files = {"projected": "projected.png", "latent": latent}
    with replacing(folder / "projection.json") as part:
        content = {**about, "class": found.classes[0], **how, **figures, "files": files}
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return folder
