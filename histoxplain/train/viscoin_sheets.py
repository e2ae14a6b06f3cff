"""Pictures of a concept model in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from histoxplain.data import to_unit
from histoxplain.models import ConceptModel
from histoxplain.train.samples import save_picture, tiled

SHOWN = 8
"""Images, and concepts, on a sheet."""
LOOKED_AT = 96
"""Images among which the one with most of a concept is looked for."""
FACTORS = (0.0, 1.0, 2.0, 4.0)
"""How much of a concept its pictures show, as published."""
BATCH = 16
DARK = 0.25
"""Light that is left where a concept is not."""


@torch.no_grad()
def save_sheets(out: Path, model: ConceptModel, pixels: Tensor, images_seen: int) -> None:
    """Write two sheets into a training's folder.

    `samples-<kimg>.png`: originals, below them their reconstructions, and what concepts alone draw.
    `concepts-<kimg>.png`: one column a concept, those that matter most first; the image with most of it, where in it
    the concept is (dark elsewhere), and the image without it, with it, with twice and with four times as much.

    Args:
        out: the folder.
        model: the concepts.
        pixels: uint8 training images `(N, C, R, R)`.
        images_seen: for the names.
    """
    device = next(model.parameters()).device
    kimg = f"{images_seen // 1000:06d}"
    few = _spread(pixels, SHOWN).to(device)
    found = model.concepts(few)
    alone = model.draw(found._replace(support=None, detail=None))
    save_picture(out / f"samples-{kimg}.png", tiled(torch.cat([few, model.draw(found), alone]), 3))
    save_picture(out / f"concepts-{kimg}.png", concept_sheet(model, _spread(pixels, LOOKED_AT).to(device)))


@torch.no_grad()
def concept_sheet(model: ConceptModel, x: Tensor, count: int = SHOWN) -> Tensor:
    """The concepts that matter most among images `(N, C, R, R)`, one a column: uint8 `(C, 6 * R, count * R)`."""
    strength, importance = [], []
    for some in x.split(BATCH):
        concepts = model.concepts(some)
        asked = concepts.logits.argmax(1)
        strength.append(concepts.phi.amax((2, 3)))
        importance.append(model.importance(concepts.phi)[torch.arange(len(some)), :, asked])
    top = torch.cat(importance).mean(0).argsort(descending=True)[:count]
    best = x[torch.cat(strength)[:, top].argmax(0)]
    found, rows = model.concepts(best), [best, _lit(best, model.maps(best)[torch.arange(len(top)), top])]
    for factor in FACTORS:
        factors = torch.ones(len(top), model.config.concepts)
        factors[torch.arange(len(top)), top.cpu()] = factor
        rows.append(model.draw(found.scaled(factors)))
    return tiled(torch.cat(rows), len(rows))


def _lit(x: Tensor, maps: Tensor) -> Tensor:
    """Images, dark where maps `(N, g, g)` are 0."""
    light = maps / maps.amax((1, 2), keepdim=True).clamp_min(1e-12)
    light = F.interpolate(light[:, None].float(), size=x.shape[2:], mode="bilinear", align_corners=False)
    return (x + 1) * (DARK + (1 - DARK) * light) - 1


def _spread(pixels: Tensor, count: int) -> Tensor:
    """Images from all over a data set."""
    chosen = np.linspace(0, len(pixels) - 1, min(count, len(pixels))).astype(int)
    return to_unit(pixels[torch.from_numpy(chosen)])
