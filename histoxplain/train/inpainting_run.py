"""A training of counterfactual inpainting in its folder: what is measured and shown when."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from histoxplain.models.classifier import Classifier
from histoxplain.models.inpainting import Inpainter
from histoxplain.train.inpainting_losses import HALF, log_probabilities
from histoxplain.train.samples import save_picture, tiled
from histoxplain.train.translation_run import TranslationRun

if TYPE_CHECKING:
    from histoxplain.train.inpainting import InpaintingTraining

VALID = 0.8
"""A counterfactual counts when it moves the classifier's probability by more than this."""


class InpaintingRun(TranslationRun):
    """The log, the snapshots, the samples and the bar, which only the first process makes."""

    training: InpaintingTraining

    def draw(self, path: Path, network: Inpainter, x: Tensor, labels: Tensor) -> Path:
        """A picture of counterfactuals and what they changed."""
        return save_counterfactuals(path, network, x, labels)


@torch.no_grad()
def save_counterfactuals(path: Path, inpainter: Inpainter, x: Tensor, labels: Tensor) -> Path:
    """Write a picture: for each class a row of images, below them how they look as normal, below these the difference.

    Args:
        path: the PNG file.
        inpainter: the network.
        x: images, `(N, C, H, W)`; equally many of each class are shown.
        labels: their classes, `(N,)`.
    """
    columns = min(int((labels == k).sum()) for k in range(len(inpainter.class_names)))
    rows = []
    for k in range(len(inpainter.class_names)):
        some = x[labels == k][:columns]
        normal = inpainter(some)
        difference = (normal - some).abs().mean(1, keepdim=True).expand_as(some)  # 0 to 2: white turned black
        rows += [some, normal, difference.clamp(0, 2) - 1]
    return save_picture(path, tiled(torch.cat(rows).clamp(-1, 1), len(rows)))


@torch.no_grad()
def measure_inpainter(inpainter: Inpainter, classifier: Classifier, x: Tensor) -> dict[str, Any]:
    """How surely images become normal for a classifier, and how much of them changes.

    Args:
        inpainter: the network.
        classifier: of the same classes.
        x: images, `(N, C, H, W)` in `[-1, 1]`.

    Returns:
        `abnormal`, the share of images that the classifier finds so; of these `validity`, the share whose probability
        moves by more than 0.8; `change_abnormal` and `change_normal`, mean absolute differences in `[0, 1]` of the
        images found abnormal and of the others. None where there are no such images.
    """
    device, normal = next(inpainter.parameters()).device, inpainter.config.normal
    before, after, change = [], [], []
    for some in x.split(32):
        some = some.to(device)
        made = inpainter(some)
        before.append(log_probabilities(classifier(some), normal)[:, 1].exp())
        after.append(log_probabilities(classifier(made), normal)[:, 1].exp())
        change.append((made - some).abs().mean((1, 2, 3)) / 2)
    f, g, size = (torch.cat(parts) for parts in (before, after, change))
    ill = f >= HALF
    figures = {
        "validity": ((f - g).abs() > VALID).float()[ill],
        "change_abnormal": size[ill],
        "change_normal": size[~ill],
    }
    means = {name: values.mean().item() if len(values) else None for name, values in figures.items()}
    return {"abnormal": ill.float().mean().item(), **means}
