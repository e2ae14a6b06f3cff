"""The few style coordinates that together change the classifier's mind about one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain._checks import check_at_least
from histoxplain.explain.images import quantised
from histoxplain.explain.interpolate import Film
from histoxplain.explain.latent_space import BATCH, device_of
from histoxplain.explain.opinion import check_fit, lead, logits_of, quiet

if TYPE_CHECKING:
    from histoxplain.explain.style_coordinates import StyleCoordinates
    from histoxplain.models import Bundle


@dataclass(frozen=True, eq=False)
class StyleSubset:
    """Coordinates changed one after another, until the classifier says the target."""

    names: tuple[str, ...]
    """Of the coordinates, in the order they were added."""
    film: Film
    """The image, and then one frame for each coordinate added; `alphas` count them."""
    flipped: bool
    """Whether the classifier says the target in the end."""

    def __len__(self) -> int:
        return len(self.names)


def explain_by_subset(
    bundle: Bundle, coordinates: StyleCoordinates, ws: Tensor | None = None, count: int = 5
) -> list[StyleSubset]:
    """For every image a small set of coordinates that together lead to the target: the subset selection of StylEx.

    The coordinate that helps most is added to those changed already, until the classifier says the target, `count` are
    changed, or none helps any more (Lang et al., Explaining in Style, 2021). `StyleCoordinates.independent` instead
    looks at each by itself.

    Args:
        bundle: the networks they were found in.
        coordinates: what to choose from.
        ws: latents of the images, `(N, num_ws, w_dim)`; None takes those the coordinates were found on.
        count: how many coordinates at most.

    Returns:
        One subset an image, empty where the classifier says the target already.
    """
    check_fit(bundle)
    check_at_least("count", count, 1)
    ws = (coordinates.ws if ws is None else ws).to(device_of(bundle.generator))
    with quiet(bundle), torch.no_grad():
        return [_subset(bundle, coordinates, w[None], count) for w in ws]


def _subset(bundle: Bundle, coordinates: StyleCoordinates, w: Tensor, count: int) -> StyleSubset:
    target, chosen = coordinates.target, []
    frames, logits = _seen(bundle, coordinates, w, [[]])
    while len(chosen) < count and int(logits[-1].argmax()) != target:
        left = [i for i in range(len(coordinates)) if i not in chosen]
        if not left:
            break
        images, found = _seen(bundle, coordinates, w, [[*chosen, i] for i in left])
        leads = lead(found, target, coordinates.source)
        best = int(leads.argmax())
        if leads[best] <= lead(logits[-1], target, coordinates.source):
            break
        chosen.append(left[best])
        frames, logits = torch.cat([frames, images[best, None]]), torch.cat([logits, found[best, None]])
    names, p = tuple(coordinates.names[i] for i in chosen), logits.softmax(1)
    alphas = torch.arange(len(frames), dtype=torch.float32)
    film = Film(frames.cpu(), alphas, p, tuple(bundle.class_names), int(p[0].argmax()), target)
    return StyleSubset(names, film, int(p[-1].argmax()) == target)


def _seen(bundle: Bundle, coordinates: StyleCoordinates, w: Tensor, sets: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Images of one latent with each set of coordinates changed, and their logits."""
    parts = [sets[i : i + BATCH] for i in range(0, len(sets), BATCH)]
    moved = [coordinates.moved_together(bundle.generator, w.expand(len(part), -1, -1), part) for part in parts]
    images = [quantised(some) for some in moved]
    return torch.cat(images), torch.cat([logits_of(bundle.classifier, some).cpu() for some in images])
