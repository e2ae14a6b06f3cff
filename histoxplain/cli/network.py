"""What a user may name where a generator is wanted: a bundle, a training's folder, or anybody's checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from histoxplain._checks import InputError, check
from histoxplain.explain.explainer import class_index
from histoxplain.models import Bundle, Generator, load_bundle, load_generator
from histoxplain.models.bundle import DESCRIPTION

MOST = 100_000
"""Numbers in one range, at most."""


class Unjudged(nn.Module):
    """Stands where a bundle's classifier does, for a generator that comes without one: it has no opinion.

    Args:
        class_names: K names.
        eyes: a network that looks at images, whose feature maps count as what this classifier sees; None sees nothing.
    """

    def __init__(self, class_names: tuple[str, ...], eyes: nn.Module | None = None) -> None:
        super().__init__()
        self.class_names, self.eyes = class_names, eyes

    def forward(self, x: Tensor) -> Tensor:
        """Images `(N, C, H, W)` to logits `(N, K)`, all 0."""
        if self.eyes is not None:
            self.eyes(x)
        return x.new_zeros(len(x), len(self.class_names))

    def probabilities(self, x: Tensor) -> Tensor:
        """`(N, K)`, all equal."""
        return self(x).softmax(1)


class Searchable(nn.Module):
    """A generator as a search for latents should see it.

    Args:
        generator: the generator.
        space: "w+" (a latent for each layer) or "w" (one for all, so that there is but one to find).
        classes: how many the search tells apart; a generator without labels takes the only one there is.
    """

    def __init__(self, generator: Generator, space: str, classes: int) -> None:
        super().__init__()
        self.generator = G = generator
        self.num_ws = 1 if space == "w" else G.num_ws
        self.c_dim = G.c_dim or int(classes == 1)
        self.z_dim, self.w_dim = G.z_dim, G.w_dim
        self.img_resolution, self.img_channels = G.img_resolution, G.img_channels

    def mapping(self, z: Tensor, c: Tensor | None) -> Tensor:
        """Noise `(N, z_dim)` and labels to `(N, num_ws, w_dim)`."""
        return self.generator.mapping(z, c if self.generator.c_dim else None)[:, : self.num_ws]

    def synthesis(self, ws: Tensor, noise_mode: str = "const") -> Tensor:
        """`(N, num_ws, w_dim)` to images."""
        return self.generator.synthesis(ws.expand(-1, self.generator.num_ws, -1), noise_mode)


def open_network(name: str, precision: str = "auto") -> Bundle:
    """A bundle by name or folder; a generator of `load_generator`, or of a training's folder, as one without judge.

    Args:
        name: what the user named.
        precision: of the convolutions; see `Generator.set_precision`.

    Raises:
        InputError: if there is no such bundle or file.
    """
    path = Path(name)
    if (path / "generator.safetensors").is_file() and not (path / DESCRIPTION).exists():
        path = path / "generator.safetensors"
    if not path.is_file() and not path.suffix:
        return load_bundle(name, precision=precision)
    G = load_generator(path, precision=precision)
    names = G.class_names or tuple(map(str, range(max(G.c_dim, 1))))
    nobody: dict[str, Any] = {"oracle": None, "encoder": None, "card": ""}
    return Bundle(path.name, G, Unjudged(names), class_names=names, resolution=G.img_resolution, path=path, **nobody)


def labels_of(bundle: Bundle, wanted: str | None) -> list[int]:
    """The class a user asked for, or all that the generator was taught; none without labels.

    Raises:
        InputError: if there is no such class.
    """
    G: Generator = bundle.generator
    if not G.c_dim:
        if wanted is not None:
            raise InputError(f"`class` must be left out for a generator without labels, got {wanted!r}.")
        return []
    return list(range(G.c_dim)) if wanted is None else [class_index(wanted, bundle.class_names, "class")]


def numbers(name: str, text: str) -> list[int]:
    """Numbers as people list them.

    Raises:
        InputError: if it is no such list.

    Example:
        >>> numbers("seeds", "0-3,85")
        [0, 1, 2, 3, 85]
    """
    found: list[int] = []
    for part in text.split(","):
        low, _, high = part.strip().partition("-")
        whole = low.isdecimal() and (high or low).isdecimal()
        first, last = (int(low), int(high or low)) if whole else (1, 0)
        known = first <= last < 2**32 and last - first < MOST
        check(known, name, f"be numbers and ranges such as 0-35,85, of {MOST} at most", repr(text))
        found += range(first, last + 1)
    return found


@torch.no_grad()
def draw_images(G: Generator, ws: Tensor, noise_mode: str = "const", batch: int = 8) -> Tensor:
    """Images of latents `(N, num_ws, w_dim)`, batch by batch; the noise of mode "random" is the same every time."""
    rng = torch.Generator(ws.device).manual_seed(0) if noise_mode == "random" else None
    return torch.cat([G.synthesis(some, noise_mode, rng).float().cpu() for some in ws.split(batch)])
