"""Settings of `train encoder`, free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from histoxplain._checks import check, check_at_least

CHANGEABLE = (
    "kimg",
    "snapshot_kimg",
    "tick_kimg",
    "device",
    "precision",
    "data",
    "bundle",
    "generator",
    "classifier",
    "wandb",
)
"""The settings that may change when a training is resumed; a moved file may be named anew."""


@dataclass(frozen=True, kw_only=True)
class EncoderTrainingConfig:
    """How to train an encoder for a generator that exists; each weight may be 0, which leaves its term out."""

    kimg: float = 100
    """How long to train, in thousands of images, half of them real and half generated."""
    batch: int = 16
    """Images a step: half real, half generated."""
    lr: float = 0.002
    """Learning rate of Adam; it falls to 0 over the last third."""
    width: int = 128
    """Feature maps of the encoder."""
    depth: int = 2
    """Residual blocks on the way to the detail."""
    image_weight: float = 1.0
    """Weight of the mean absolute difference of images, over several scales."""
    perceptual_weight: float = 1.0
    """Weight of the perceptual distance; see `histoxplain.metrics.perceptual_distance`."""
    consistency_weight: float = 0.1
    """Weight of the divergence of the classifier's opinion of a reconstruction from that of its original."""
    latent_weight: float = 0.2
    """Weight of the mean absolute error of the latents of generated images, in standard deviations of w."""
    pull_weight: float = 0.002
    """Weight of the squared distance of latents to their class's mean, in standard deviations: near it, edits of an
    image look like those of generated ones."""
    detail_weight: float = 0.02
    """Weight of the squared detail, in standard deviations of the feature maps; large, more is left to w."""
    mirror: bool = False
    """Flip real images left-right at random."""
    quarter_turns: bool = False
    """Turn real images by quarter turns at random; tissue has no up."""
    ema_kimg: float = 2.0
    """Half-life of the averaged weights in thousands of images."""
    start_from: str | None = None
    """Checkpoint or training to take the encoder from: of `train encoder`, or of a projected GAN with an encoder."""
    subset: int | None = None
    """Train on this many of the images, drawn with `seed`; None takes all."""
    snapshot_kimg: float = 4
    """Thousands of images between snapshots."""
    tick_kimg: float = 0.5
    """Thousands of images between lines of the log."""
    seed: int = 0
    """Seed of everything random."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the convolutions; "auto" is bfloat16 where the machine multiplies it natively."""
    device: str = "auto"
    """"auto", "cpu", "cuda", ..."""
    wandb: bool = False
    """Send the log to Weights & Biases too; WANDB_MODE=offline keeps it on this machine."""

    def __post_init__(self) -> None:
        check_at_least("batch", self.batch, 2)
        check_at_least("width", self.width, 1)
        check_at_least("depth", self.depth, 0)
        check_at_least("subset", 1 if self.subset is None else self.subset, 1)
        for name in ("kimg", "lr", "snapshot_kimg", "tick_kimg", "ema_kimg"):
            check(getattr(self, name) > 0, name, "be above 0", getattr(self, name))
        for name in ("image", "perceptual", "consistency", "latent", "pull", "detail"):
            check_at_least(f"{name}_weight", getattr(self, f"{name}_weight"), 0)
