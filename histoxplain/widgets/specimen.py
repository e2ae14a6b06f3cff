"""Images to explain: yours, or generated ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from histoxplain.explain import LatentSearch, image_of, quantised
from histoxplain.explain.explainer import evaluating
from histoxplain.explain.latent_space import draw, one_hot, sample_z

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.data import Case
    from histoxplain.models import Bundle

    AnyImage = Tensor | str | Path | Case


@dataclass(frozen=True, eq=False)
class Specimen:
    """An image to explain.

    Attributes:
        name: what to call it.
        image: (C, H, W) in [-1, 1], 8-bit exact.
        probabilities: the classifier's opinion of it, (K,).
        ws: where it lies in latent space, (num_ws, w_dim); None for a real image, which has to be found there first.
        z: the noise it was drawn from, (z_dim,); None for a real image.
        recipe: Python that makes it again, where that is known; `bundle` stands for the bundle.
    """

    name: str
    image: Tensor
    probabilities: Tensor
    ws: Tensor | None = None
    z: Tensor | None = None
    recipe: str = ""


def opened(bundle: Bundle, images: Sequence[AnyImage], names: Sequence[str] | None = None) -> list[Specimen]:
    """Real images as specimens; they are cropped and resized to what the bundle expects.

    Args:
        bundle: gives the classifier, the size and the channels.
        images: files, `Case`s, PIL images or tensors.
        names: one an image; by default the files' names.

    Raises:
        InputError: if an image cannot be read.
    """
    if not images:
        return []
    x = [image_of(image, bundle, fit=True) for image in images]
    names = names or [Path(i).stem if isinstance(i, str | Path) else f"image {n}" for n, i in enumerate(images, 1)]
    with evaluating(bundle.classifier), torch.no_grad():
        found = bundle.classifier.probabilities(torch.stack(x)).float()
    recipes = [f"hx.widgets.opened(bundle, [{str(i)!r}])[0]" if isinstance(i, str | Path) else "" for i in images]
    return [Specimen(name, one, p, recipe=recipe) for name, one, p, recipe in zip(names, x, found, recipes)]


@torch.no_grad()
def generated(bundle: Bundle, each: int = 2, seed: int = 0) -> list[Specimen]:
    """Generated images as specimens: of every class the first `each` that the classifier takes for that class.

    Args:
        bundle: generator and classifier.
        each: how many a class.
        seed: same seed, same machine: same images.
    """
    search, specimens = LatentSearch(bundle), []
    for label, name in enumerate(bundle.class_names):
        z = sample_z(bundle.generator, 4 * each, seed * len(bundle.class_names) + label)
        ws = bundle.generator.mapping(z, one_hot([label] * len(z), bundle.generator))
        images = quantised(draw(bundle.generator, ws))
        p = search.probabilities(images)
        order = (p.argmax(1) != label).int().argsort(stable=True)[:each].tolist()
        specimens += [Specimen(f"{name} {n + 1}", images[i], p[i], ws[i], z[i]) for n, i in enumerate(order)]
    recipe = f"hx.widgets.generated(bundle, each={each}, seed={seed})"
    return [replace(one, recipe=f"{recipe}[{i}]") for i, one in enumerate(specimens)]
