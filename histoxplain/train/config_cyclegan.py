"""Settings of `train cyclegan`, free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from histoxplain._checks import check, check_at_least, check_between

CHANGEABLE = ("kimg", "snapshot_kimg", "tick_kimg", "device", "data", "classifier", "wandb")


@dataclass(frozen=True, kw_only=True)
class CycleGANConfig:
    """How to train a CycleGAN (Zhu et al., 2017) whose translations change a classifier's mind."""

    kimg: float = 400
    """How long to train, in thousands of real images shown, each class equally often."""
    batch: int = 8
    """Images a step; at least one a class."""
    lr: float = 2e-4
    """Learning rate of Adam (betas 0.5 and 0.999) for all networks in the first half; then it falls linearly to 0."""
    architecture: Literal["attention-unet", "resnet"] = "attention-unet"
    """The translator: an attention U-Net, or the ResNet generator of the CycleGAN paper."""
    width: int = 32
    """Feature maps of the translator's first layer; 64 in the CycleGAN paper."""
    depth: int = 4
    """Halvings of the resolution in an attention U-Net."""
    blocks: int = 6
    """Residual blocks of a ResNet; the paper has 9 from 256 px on."""
    width_d: int = 64
    """Feature maps of the discriminators' first layer."""
    depth_d: int = 4
    """Halvings of the resolution in the discriminators; with fewer they judge smaller patches."""
    shrink: int = 1
    """Draw changes, and judge images, at this fraction of the resolution: detail finer than that stays the image's own,
    and training takes a fraction of the time."""
    residual: bool = True
    """The translator draws the change that is added to an image; off: the image, as published."""
    joint: bool | None = None
    """One translator that is told the target instead of one for each; None: only for more than two classes."""
    cycle_weight: float = 10.0
    """Lambda, of the mean absolute difference between an image and its way there and back."""
    identity_weight: float | None = None
    """Mu, of the mean absolute difference between an image and itself as its own class; None: lambda / 10."""
    counter_weight: float = 1.0
    """Gamma, of the squared distance between the classifier's probabilities of a translation and the target."""
    counter_views: float = 0.5
    """How much the translations that the classifier judges are shifted, brightened, softened and made grainy, so that
    no pattern that only this classifier sees can change its mind; 0 shows them as they are."""
    counter_interval: int = 1
    """Steps between applications of the classifier; its weight is multiplied accordingly."""
    counter_temperature: float = 1.0
    """The classifier's logits are divided by this; above 1 there is a slope where it was certain."""
    cycle_noise: float = 0.0
    """Deviation of noise added to translations before the way back, so that nothing can be hidden in them."""
    buffer: int = 50
    """Earlier translations of each class that the discriminators are shown again; 0 shows them only new ones."""
    ema_kimg: float = 2.0
    """Half-life of the averaged translator, in thousands of images."""
    snapshot_kimg: float = 5
    """Thousands of images between snapshots, samples and measurements on the validation split."""
    tick_kimg: float = 0.5
    """Thousands of images between lines of the log."""
    validation: int = 100
    """Images of the validation split that are measured at each snapshot, the classes in turn."""
    seed: int = 0
    """Seed of everything random."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the convolutions; "auto" is bfloat16 where the machine multiplies it natively."""
    device: str = "auto"
    """"auto", "cpu", "cuda", ..."""
    wandb: bool = False
    """Send the log to Weights & Biases too; WANDB_MODE=offline keeps it on this machine."""

    def __post_init__(self) -> None:
        for name in ("batch", "width", "depth", "blocks", "width_d", "depth_d", "shrink", "counter_interval"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("cycle_weight", "counter_weight", "counter_views", "cycle_noise", "buffer", "validation"):
            check_at_least(name, getattr(self, name), 0)
        for name in ("kimg", "snapshot_kimg", "tick_kimg", "ema_kimg", "lr", "counter_temperature"):
            check(getattr(self, name) > 0, name, "be above 0", getattr(self, name))
        check_between("counter_views", self.counter_views, 0, 1)
        check(self.precision != "float16", "precision", "be float32 or bfloat16 in training", self.precision)

    @property
    def mu(self) -> float:
        """The weight of the identity term.

        Example:
            >>> CycleGANConfig().mu
            1.0
        """
        return self.cycle_weight / 10 if self.identity_weight is None else self.identity_weight

    def rate_at(self, images: int) -> float:
        """The learning rate after so many images: constant for the first half, then linear to 0.

        Example:
            >>> [CycleGANConfig(kimg=1).rate_at(images) for images in (0, 500, 750, 1000)]
            [0.0002, 0.0002, 0.0001, 0.0]
        """
        return self.lr * min(1.0, max(0.0, 2 - 2 * images / (1000 * self.kimg)))
