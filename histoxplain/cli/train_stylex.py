"""Train generator, discriminator and encoder together, conditioned on a classifier's probabilities (StylEx).

RUN receives what `train gan` writes, and encoder.safetensors: image to latent. An image's label is what the classifier
says of it, so the data needs none; a guide asks that drawn images be given the probabilities they were drawn for. An
interrupted training continues exactly with --resume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histoxplain._checks import check
from histoxplain.cli import train_gan

DEFAULTS = {"reconstruct_weight": 5.0, "perceptual_weight": 1.0, "guide_weight": 0.3, "guide_interval": 1}
"""Where they differ from those of `train gan`."""


@dataclass(frozen=True)
class Command(train_gan.Command):
    """Options of `histoxplain train stylex`."""

    classifier: Path | None = None
    """Classifier checkpoint, RUN/classifier.safetensors; --resume knows it."""

    def __call__(self) -> None:
        """Train, and say where the generator and the encoder are."""
        encoded = self.config.reconstruct_weight > 0
        check(encoded, "reconstruct_weight", "be above 0", self.config.reconstruct_weight, "try 5")
        super().__call__()
        print(f"encoder -> {self.out / 'encoder.safetensors'}")

    def suggestions(self) -> dict[str, Any]:
        """See `train_gan.Command.suggestions`; those of `DEFAULTS` where nothing else is said."""
        if self.resume:
            return super().suggestions()
        check(self.classifier is not None, "classifier", "name a classifier checkpoint", None, "train one first")
        roles = {"label_classifier": str(self.classifier), "guide": self.config.guide}
        return DEFAULTS | super().suggestions() | roles


def parse(arguments: Sequence[str], prog: str) -> Command:
    """Options from the command line; see `train_gan.parse`."""
    return train_gan.parse(guided(arguments), prog, Command, __doc__)


def guided(arguments: Sequence[str]) -> list[str]:
    """The classifier as a guide too, where none is named.

    Example:
        >>> guided(["DATA", "--classifier", "C"])
        ['DATA', '--classifier', 'C', '--guide', 'C']
    """
    words = [word for part in arguments for word in part.split("=", part.startswith("--classifier="))]
    place = words.index("--classifier") + 1 if "--classifier" in words else 0
    if not 0 < place < len(words) or "--guide" in words:
        return words
    return [*words, "--guide", words[place]]
