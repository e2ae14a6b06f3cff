"""A CycleGAN's training in its folder: what is measured and shown when."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from histoxplain.models.classifier import Classifier
from histoxplain.models.cyclegan import Translator
from histoxplain.train.run import Run
from histoxplain.train.samples import save_picture, tiled

if TYPE_CHECKING:
    from histoxplain.train.cyclegan import CycleGANTraining

COLUMNS = 8


class TranslationRun(Run):
    """The log, the snapshots, the samples and the bar of a CycleGAN's training, which only the first process makes."""

    training: CycleGANTraining

    def show(self) -> None:
        """A grid of what the network draws; figures of the validation split as a line of the log."""
        if not self.writes:
            return
        training = self.training
        figures = training.measure() if training.images_seen else {}
        if figures:
            self.log.write(kimg=training.images_seen / 1000, **figures)
        path = self.out / f"samples-{training.images_seen // 1000:06d}.png"
        self.draw(path, training.ema, *training.examples(COLUMNS))

    def draw(self, path: Path, network: Any, x: Tensor, labels: Tensor) -> Path:
        """Write what the averaged network makes of images and their classes as a picture."""
        return save_translations(path, network, x, labels)


@torch.no_grad()
def save_translations(path: Path, translator: Translator, x: Tensor, labels: Tensor) -> Path:
    """Write a picture: for each class a row of images, below them their translations, below these the way back.

    Args:
        path: the PNG file.
        translator: the network.
        x: images, `(N, C, H, W)`; equally many of each class are shown.
        labels: their classes, `(N,)`.
    """
    count = len(translator.class_names)
    columns = min(int((labels == k).sum()) for k in range(count))
    rows = []
    for k in range(count):
        some = x[labels == k][:columns]
        source = torch.full((columns,), k, device=x.device)
        there = translator(some, (source + 1) % count)
        rows += [some, there, translator(there, source)]
    return save_picture(path, tiled(torch.cat(rows).clamp(-1, 1), len(rows)))


@torch.no_grad()
def measure_translator(translator: Translator, classifier: Classifier, x: Tensor, labels: Tensor) -> dict[str, Any]:
    """How often translations change a classifier's mind, and what the way back and the identity lose.

    Args:
        translator: the network.
        classifier: of the same classes.
        x: images of at least one class, `(N, C, H, W)` in `[-1, 1]`.
        labels: their classes, `(N,)`.

    Returns:
        `flip_rate`, overall and of every pair of classes as `flips`; `cycle`, `identity` and `l1`, mean absolute
        differences between images and their way there and back, their translation into their own class, and their
        translation, in `[0, 2]`.
    """
    names, device = translator.class_names, next(translator.parameters()).device
    sums: dict[str, list[Tensor]] = {"cycle": [], "identity": [], "l1": []}
    flips: dict[str, list[Tensor]] = {}
    for shift in range(1, len(names)):
        for some, source in zip(x.split(32), labels.split(32)):
            some, source = some.to(device), source.to(device)
            target = (source + shift) % len(names)
            there = translator(some, target)
            flipped = classifier(there).argmax(1) == target
            for a, b, hit in zip(source.tolist(), target.tolist(), flipped.float()):
                flips.setdefault(f"{names[a]} to {names[b]}", []).append(hit)
            ways = {"cycle": translator(there, source), "identity": translator(some, source), "l1": there}
            for name, image in ways.items():
                sums[name].append((image - some).abs().mean((1, 2, 3)))
    means = {name: torch.cat(values).mean().item() for name, values in sums.items()}
    every = {name: torch.stack(hits).mean().item() for name, hits in sorted(flips.items())}
    overall = torch.cat([torch.stack(hits) for hits in flips.values()]).mean().item()
    return {"flip_rate": overall, "flips": every, **means}
