"""Train a classifier on prepared data, calibrate it, and measure it on the test split.

Interrupt it whenever you like: the same command with --resume continues exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, Positional, arg

from histoxplain.train.config_classifier import ClassifierTraining


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain train classifier`."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """LMDB made by `histoxplain prepare`, or a folder with one sub-folder of images per class."""
    out: Path
    """Folder of this training: config.json, log.jsonl, state.pt, classifier.safetensors, metrics.json."""
    resume: bool = False
    """Continue the training in OUT; epochs, patience and device may change, nothing else."""
    training: OmitArgPrefixes[ClassifierTraining] = field(default_factory=ClassifierTraining)
    """How to train."""

    def __call__(self) -> None:
        """Train, and print the figures."""
        from histoxplain.train.classifier import train_classifier

        figures = train_classifier(self.data, self.out, self.training, resume=self.resume)
        print(describe(figures))
        print(f"classifier -> {self.out / 'classifier.safetensors'}; figures -> {self.out / 'metrics.json'}")


def describe(figures: dict[str, Any]) -> str:
    """The figures of a training as a few lines for people."""
    lines = []
    for split in ("validation", "test"):
        report = figures[split]
        if report is None:
            lines.append(f"{split}: no images")
            continue
        auc = "undefined" if report["auc"] is None else f"{report['auc']:.3f}"
        lines.append(
            f"{split}: {report['images']} images, balanced accuracy {report['balanced_accuracy']:.3f}, "
            f"AUC {auc}, ECE {report['ece']:.3f}"
        )
        lines += [f"  {name} against the rest: {value:.3f}" for name, value in report["one_against_rest"].items()]
    return "\n".join(lines)
