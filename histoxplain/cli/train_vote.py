"""Let trained classifiers vote as one, calibrate their vote, and measure it on the test split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain train vote`."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """The data that the classifiers were trained on, split as it was then."""
    members: tuple[Path, ...]
    """Their checkpoints, RUN/classifier.safetensors of two or more trainings."""
    out: Path
    """Folder to write to: classifier.safetensors, metrics.json."""
    kind: Literal["soft", "hard"] = "soft"
    """soft: the mean of their probabilities; hard: the share of them that prefer a class."""
    batch: int = 32
    """Images at once."""
    seed: int = 0
    """Of the split, where DATA has none; that of the trainings."""
    device: str = "auto"
    """`auto` is CUDA when there, else the CPU."""

    def __call__(self) -> None:
        """Put them together, and print the figures."""
        from histoxplain._checks import check_at_least
        from histoxplain.cli.train_classifier import describe
        from histoxplain.train.vote import train_vote

        check_at_least("batch", self.batch, 1)
        figures = train_vote(self.data, self.members, self.out, self.kind, self.batch, self.seed, self.device)
        print(describe(figures))
        print(f"vote -> {self.out / 'classifier.safetensors'}; figures -> {self.out / 'metrics.json'}")
