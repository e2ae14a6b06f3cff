"""Settings of `train viscoin`, free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from histoxplain._checks import check, check_at_least, check_between

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
    "encoder",
    "wandb",
)
"""The settings that may change when a training is resumed; a moved file may be named anew."""
WEIGHTS = (
    "fidelity",
    "sparsity",
    "orthogonality",
    "l1",
    "mse",
    "perceptual",
    "consistency",
    "regular",
    "redundancy",
    "latent",
    "follow",
    "place",
)


@dataclass(frozen=True, kw_only=True)
class ViscoinConfig:
    """How to train concepts for a classifier and a generator; each weight may be 0, which leaves its term out.

    As published (Parekh et al., 2024; there 100,000 steps): `--concepts 256 --width 512 --lr 1e-4 --support features
    --redundancy-weight 0 --latent-weight 0 --follow-weight 0 --place-weight 0 --bounded 1 --warm-kimg 0 --kimg 1600`.
    """

    kimg: float = 60
    """How long to train, in thousands of images, half of them real and half generated."""
    warm_kimg: float = 20
    """During the first of these no image is drawn, and only what needs none is learnt: many times faster."""
    batch: int = 16
    """Images a step: half real, half generated."""
    lr: float = 0.001
    """Learning rate of Adam; it falls to 0 over the last third."""
    concepts: int = 24
    """How many concepts."""
    width: int = 128
    """Channels taken from each stage of the classifier."""
    support: Literal["auto", "features", "encoder"] = "auto"
    """What says that which concepts leave out: as published "features" of the classifier, for latents that concepts do
    not move; or the generator's "encoder", less what concepts say. "auto" takes the encoder where there is one."""
    first_ws: int | None = None
    """The first latent that concepts move; by default all with an encoder, else the middle half."""
    last_ws: int | None = None
    """The latent after the last one that concepts move."""
    residue: float = 1.0
    """How much of what an encoder says is taken, from 0 to 1."""
    detail: float = 1.0
    """How much of an encoder's detail is taken, from 0 to 1."""
    bounded: float = 0.98
    """Latents end where this share of the generator's own samples do, by distance from the mean; 1 lets them go on."""
    fidelity_weight: float = 0.5
    """Weight of the cross-entropy between the classifier's opinion and that predicted from concepts."""
    sparsity_weight: float = 0.2
    """Weight of how many concepts share an image and how strong they are."""
    orthogonality_weight: float = 1.0
    """Weight of how alike the readings of different concepts are."""
    l1_weight: float = 1.0
    """Weight of the mean absolute difference between images and those drawn of their concepts."""
    mse_weight: float = 1.0
    """Weight of their mean squared difference."""
    perceptual_weight: float = 3.0
    """Weight of their perceptual distance; see `histoxplain.metrics.perceptual_distance`."""
    consistency_weight: float = 0.1
    """Weight of the cross-entropy between the classifier's opinions of both."""
    regular_weight: float = 0.1
    """Weight of the squared distance of latents to the generator's mean, in its own deviations."""
    redundancy_weight: float = 1.0
    """Weight of how alike concepts are distributed over images; not in the paper."""
    latent_weight: float = 1.0
    """Weight of the mean absolute error of the latents, known of generated images and of those that an encoder saw, in
    deviations of w; not in the paper."""
    follow_weight: float = 0.5
    """Weight of the divergence, for changed concepts, of the classifier's opinion of the image drawn from that
    predicted of the concepts: so that pictures follow the sliders; not in the paper."""
    place_weight: float = 1.0
    """Weight of how little concept maps go with what they show when images are turned, mirrored and shifted; not in the
    paper."""
    mirror: bool = False
    """Flip real images left-right at random."""
    quarter_turns: bool = False
    """Turn real images by quarter turns at random; tissue has no up."""
    ema_kimg: float = 2.0
    """Half-life of the averaged weights in thousands of images."""
    subset: int | None = None
    """Train on this many of the images, drawn with `seed`; None takes all."""
    snapshot_kimg: float = 4
    """Thousands of images between snapshots."""
    tick_kimg: float = 0.5
    """Thousands of images between lines of the log."""
    seed: int = 0
    """Seed of everything random."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the convolutions of frozen networks; "auto" is bfloat16 where the machine multiplies it natively."""
    device: str = "auto"
    """"auto", "cpu", "cuda", ..."""
    wandb: bool = False
    """Send the log to Weights & Biases too; WANDB_MODE=offline keeps it on this machine."""

    def __post_init__(self) -> None:
        check_at_least("batch", self.batch, 4)
        check_at_least("concepts", self.concepts, 2)
        check_at_least("width", self.width, 1)
        check_at_least("warm_kimg", self.warm_kimg, 0)
        check_at_least("subset", 1 if self.subset is None else self.subset, 1)
        for name in ("kimg", "lr", "snapshot_kimg", "tick_kimg", "ema_kimg"):
            check(getattr(self, name) > 0, name, "be above 0", getattr(self, name))
        for name in ("residue", "detail"):
            check_between(name, getattr(self, name), 0, 1)
        check(0 < self.bounded <= 1, "bounded", "lie above 0 and up to 1", self.bounded)
        for name in WEIGHTS:
            check_at_least(f"{name}_weight", getattr(self, f"{name}_weight"), 0)
