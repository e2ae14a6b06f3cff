"""Find the latents that draw images: where real images lie in a generator's space, with or without labels.

NETWORK is a bundle, the folder of a training, or a checkpoint file of ours, NVIDIA's (.pkl) or rosinality's (.pt).
Writes OUT/<id>/ with projected.png, latent.safetensors (or .npz, which NVIDIA's generate.py takes) and projection.json
for every image.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import log10
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.models import Bundle, Generator

SMALLEST, LARGEST = 64, 256
"""Sides at which images are compared by their features; others are resized."""


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain project`."""

    network: Annotated[Positional[str], arg(metavar="NETWORK")]
    """A bundle, a training's folder or a checkpoint file."""
    images: Annotated[Positional[tuple[Path, ...]], arg(metavar="IMAGE")]
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
        from histoxplain.cli.explain import image_files, names_of
        from histoxplain.cli.network import labels_of, open_network
        from histoxplain.explain import image_of

        files = image_files(self.images)
        bundle = open_network(self.network)
        label = labels_of(bundle, self.class_)[0] if self.class_ is not None else None
        images = [image_of(file, bundle, fit=self.fit) for file in files]
        for name, file, image in zip(names_of(files), files, images):
            began = time.perf_counter()
            found = project(bundle, image[None], label, self.space, self.steps, self.seed, progress=True)
            about = {"image": file.name, "network": bundle.name, "seconds": round(time.perf_counter() - began, 2)}
            print(f"{file} -> {write(self, self.out / name, found, about)}, PSNR {found.psnr[0]:.1f} dB")


@dataclass(frozen=True, eq=False)
class Projection:
    """Where images lie in a generator's space."""

    ws: Tensor
    """`(N, num_ws, w_dim)`; the same row for every layer in space "w"."""
    images: Tensor
    """What the generator draws there, 8-bit exact, `(N, C, H, W)` in [-1, 1]."""
    l1: tuple[float, ...]
    """Mean absolute differences to the originals, in parts of the full range."""
    psnr: tuple[float, ...]
    """Peak signal-to-noise ratios, in dB."""
    classes: tuple[str | None, ...]
    """Classes the search kept near; None without labels."""


def project(
    bundle: Bundle,
    images: Tensor,
    label: int | None = None,
    space: str = "w+",
    steps: int = 200,
    seed: int = 0,
    progress: bool = False,
) -> Projection:
    """Find the latents that draw images, with the search of `explain.invert`.

    A bundle's classifier is asked to see the same in both images. A generator without one is helped by ImageNet
    features, and without a label by the class of the most similar sample.

    Args:
        bundle: of `open_network` or `load_bundle`.
        images: `(N, C, R, R)` in [-1, 1].
        label: number of the class, for generators with labels.
        space: "w+" or "w".
        steps: gradient steps.
        seed: fixes the draw.
        progress: show a progress bar.

    Raises:
        InputError: if the images are not of the generator's size.
    """
    import torch

    from histoxplain._checks import check_at_least, check_images, check_one_of
    from histoxplain.cli.network import Unjudged
    from histoxplain.explain import invert

    check_one_of("space", space, ("w+", "w"))
    check_at_least("steps", steps, 1)
    check_images("images", images, bundle.generator.img_channels)
    seen = viewed(bundle, space)
    images = images.to(next(bundle.generator.parameters()).device)
    labels = None if label is None else torch.full((len(images),), label, device=images.device)
    if labels is None and isinstance(bundle.classifier, Unjudged):
        labels = nearest_classes(seen, images, seed)
    found = invert(seen, images, labels, steps=steps, detail_steps=0, seed=seed, progress=progress)
    kept = bundle.classifier(images).argmax(1) if labels is None else labels
    names = [bundle.class_names[k] if bundle.generator.c_dim else None for k in kept.tolist()]
    ws = found.ws.expand(-1, bundle.generator.num_ws, -1).contiguous()
    errors = (found.images - images).square().mean((1, 2, 3)).clamp_min(1e-12).tolist()
    psnr = tuple(10 * log10(4 / error) for error in errors)
    return Projection(ws, found.images, tuple(found.l1.tolist()), psnr, tuple(names))


def viewed(bundle: Bundle, space: str) -> Bundle:
    """The bundle as the search should see it: with few latents for space "w", and with eyes if it has no classifier."""
    from histoxplain.cli.network import Searchable, Unjudged
    from histoxplain.metrics.features import FeatureNet

    G, classifier = bundle.generator, bundle.classifier
    if isinstance(classifier, Unjudged) and classifier.eyes is None:
        eyes = FeatureNet(min(LARGEST, max(G.img_resolution, SMALLEST))).to(next(G.parameters()).device)
        classifier = Unjudged(classifier.class_names, eyes)
    return replace(bundle, generator=Searchable(G, space, len(classifier.class_names)), classifier=classifier)


def nearest_classes(bundle: Bundle, images: Tensor, seed: int) -> Tensor:
    """For each image, the class of the most similar sample, `(N,)`."""
    import torch

    from histoxplain.data import to_unit
    from histoxplain.explain import latent_space
    from histoxplain.explain.invert import pixel_distance

    samples = to_unit(latent_space(bundle, seed=seed).pictures)
    each = len(samples) // len(bundle.class_names)
    best = [int(pixel_distance(samples, image[None].expand_as(samples)).argmin()) // each for image in images]
    return torch.tensor(best, device=images.device)


def write(command: Command, folder: Path, found: Projection, about: dict[str, Any]) -> Path:
    """Write the picture, the latent and what is known about them; returns the folder."""
    import json

    from histoxplain._atomic import replacing
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


def save_latents(path: Path, ws: Tensor) -> None:
    """Write latents `(N, num_ws, w_dim)` under the name "w", as safetensors or npz, atomically."""
    import numpy as np
    from safetensors.torch import save

    from histoxplain._atomic import replacing

    ws = ws.detach().float().cpu().contiguous()
    with replacing(path) as part, part.open("wb") as file:
        if path.suffix == ".npz":
            np.savez(file, w=ws.numpy())
        else:
            file.write(save({"w": ws}))


def load_latents(path: Path, generator: Generator) -> Tensor:
    """Read latents that `save_latents` wrote, `(N, num_ws, w_dim)`.

    Raises:
        InputError: if the file is damaged, or its latents are another generator's.
    """
    import numpy as np
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from histoxplain._checks import InputError, check, check_exists

    path = check_exists("latents", path)
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                ws = torch.from_numpy(arrays["w"])
        else:
            ws = load(path.read_bytes())["w"]
    except (SafetensorError, ValueError, KeyError, OSError, EOFError) as error:
        raise InputError(f"`latents` must be a file of `histoxplain project`, got {path}.") from error
    shape = generator.num_ws, generator.w_dim
    check(ws.ndim == 3 and ws.shape[1:] == shape, "latents", f"have shape (N, {shape[0]}, {shape[1]})", tuple(ws.shape))
    return ws.float().to(next(generator.parameters()).device)
