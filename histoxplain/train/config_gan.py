"""Settings of `train gan`, free of torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from histoxplain._checks import InputError, check, check_at_least, check_between
from histoxplain.train.presets import Augmentations


@dataclass(frozen=True, kw_only=True)
class GANConfig:
    """How to train a conditional StyleGAN2-ADA (Karras et al., 2020); None stands for the value that suits the data."""

    kimg: float = 1000
    """How long to train, in thousands of real images shown."""
    batch: int = 32
    """Images per step."""
    lr: float = 0.0025
    """Learning rate of Adam for both networks."""
    lr_d: float | None = None
    """Learning rate of the discriminator; None: `lr`."""
    gamma: float | None = None
    """Weight of the R1 penalty; None: 0.0002 * resolution^2 / batch."""
    channel_base: int | None = None
    """Width of the networks, see `GeneratorConfig`; None: 16384 below 512 px, else 32768."""
    channel_max: int = 512
    """Upper limit of feature maps."""
    z_dim: int = 512
    """Length of the noise vector."""
    w_dim: int = 512
    """Length of the intermediate latent."""
    mapping_layers: int = 2
    """Fully connected layers from z to w."""
    architecture: Literal["skip", "resnet", "orig"] = "skip"
    """How the generator's image comes about: "skip" sums one of each resolution."""
    architecture_d: Literal["resnet", "skip", "orig"] = "resnet"
    """How the discriminator's blocks are joined."""
    use_noise: bool = True
    """Give layers noise of their own. Without it every detail answers to the latent, which inversion needs."""
    noise_start: float = 0.0
    """Strength of that noise at the start, from 16 px up; fine texture appears sooner. `start_from` brings its own."""
    conv_clamp: float | None = None
    """Limit of activations; 256 in the reference's reduced-precision layers."""
    mbstd_group: int = 4
    """Images the minibatch statistic compares; divides `batch`."""
    style_mixing: float = 0.9
    """Share of images made from two latents."""
    r1_interval: int = 16
    """Steps between R1 penalties; 0 leaves them out."""
    pl_weight: float = 2
    """Weight of the path-length regulariser; 0 leaves it out."""
    pl_interval: int = 4
    """Steps between path-length regularisations."""
    ema_kimg: float | None = None
    """Half-life of the averaged generator in thousands of images; None: batch * 10 / 32."""
    ema_rampup: float | None = 0.05
    """Shorten the half-life to this share of the images seen so far; None does not."""
    augment: Literal["ada", "fixed", "none"] = "ada"
    """Whether the discriminator sees augmented images: as strongly as it overfits, at a fixed `augment_p`, or not."""
    augpipe: Augmentations = "bgc"
    """Which augmentations: a group by name, or the initials of several, as in "bgc" (blit, geom, color)."""
    augment_p: float = 0.0
    """Probability of each augmentation at the start, in [0, 1]."""
    ada_target: float = 0.6
    """How sure of reals the discriminator may be: the mean sign of its logits."""
    ada_kimg: float = 500
    """Thousands of images in which p may move by 1."""
    mirror: bool = False
    """Flip real images left-right at random."""
    quarter_turns: bool = False
    """Turn real images by quarter turns at random; tissue has no up."""
    layout_weight: float = 0.0
    """Weight of `layout_correlation` in the generator's loss, against one layout in many colours; 0 leaves it out."""
    discriminator: Literal["stylegan2", "projected"] = "stylegan2"
    """StyleGAN2's own, or one that judges pretrained ImageNet features and needs far fewer images (Projected GAN)."""
    reconstruct_weight: float = 0.0
    """Train an encoder too, and weigh the reconstruction of real images by this (StylEx); 0 leaves it out."""
    latent_weight: float = 1.0
    """Weight of finding w again from a generated image, where there is an encoder; with the projected discriminator,
    of distributing the mapping network's latents like those of real images."""
    perceptual_weight: float = 0.0
    """Weight of the perceptual distance of reconstructions, where there is an encoder; 0 leaves it out."""
    label_classifier: str | None = None
    """Classifier checkpoint whose probabilities of an image are its label, in place of its class (StylEx)."""
    layout_steps: int = 0
    """Steps in which an encoder beside a projected discriminator first learns where things lie, on small images."""
    guide_weight: float = 0.0
    """Weight of a classifier's cross-entropy in the generator's loss (as in StylEx training); 0 leaves it out."""
    guide_interval: int = 4
    """Steps between applications of the guide; its weight is multiplied accordingly."""
    guide: tuple[str, ...] = ()
    """Classifier checkpoints for `guide_weight`; several of different architectures agree on less that is not real."""
    start_from: str | None = None
    """Checkpoint to take the networks from: the folder of another training, or any file of ours, NVIDIA's (.pkl) or
    rosinality's (.pt). The classes may be others; half the resolution is grown without changing images. Convert
    HistoXplaining's first, with --image-range imagenet."""
    freeze_d: int = 0
    """Keep this many layers of the discriminator as they start, from the full resolution down (FreezeD)."""
    subset: int | None = None
    """Train on this many of the images, drawn with `seed`; None takes all."""
    snapshot_kimg: float = 20
    """Thousands of images between snapshots."""
    tick_kimg: float = 2
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
        for name in ("batch", "z_dim", "w_dim", "mapping_layers", "mbstd_group", "guide_interval"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("kimg", "snapshot_kimg", "tick_kimg"):
            check(getattr(self, name) > 0, name, "be above 0", getattr(self, name))
        restores = self.reconstruct_weight > 0 or not self.perceptual_weight
        check(
            restores, "perceptual_weight", "be 0 without an encoder", self.perceptual_weight, "set reconstruct_weight"
        )
        both = self.discriminator == "projected" and self.reconstruct_weight > 0
        check(
            both or not self.layout_steps,
            "layout_steps",
            "be 0 without a projected discriminator and an encoder",
            self.layout_steps,
            "set `reconstruct_weight` to 40",
        )
        check_between("augment_p", self.augment_p, 0, 1)
        check_at_least("freeze_d", self.freeze_d, 0)
        check_at_least("subset", 1 if self.subset is None else self.subset, 1)
        freezable = self.discriminator == "stylegan2" or not self.freeze_d
        check(freezable, "freeze_d", "be 0 with a projected discriminator", self.freeze_d)
        divides = self.batch % min(self.mbstd_group, self.batch) == 0
        check(divides, "mbstd_group", f"divide the batch of {self.batch}", self.mbstd_group, "try 4")
        guided = self.guide_weight == 0 or len(self.guide) > 0
        check(guided, "guide", "name classifier checkpoints when `guide_weight` is set", self.guide)

    @classmethod
    def settings_of(cls, run: str | Path) -> dict[str, Any]:
        """The settings that a training wrote into its folder; those that it did not know yet are left out.

        Raises:
            InputError: if its config.json is missing or damaged.
        """
        path = Path(run) / "config.json"
        try:
            written = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise InputError(f"`out` must hold a readable config.json, got {path}; start in a new folder.") from error
        known = {field.name for field in fields(cls)}
        return {k: tuple(v) if isinstance(v, list) else v for k, v in written.items() if k in known}

    def gamma_at(self, resolution: int) -> float:
        """The weight of R1 at a resolution.

        Example:
            >>> round(GANConfig().gamma_at(64), 6)
            0.0256
        """
        return 0.0002 * resolution**2 / self.batch if self.gamma is None else self.gamma

    def channel_base_at(self, resolution: int) -> int:
        """The width of the networks at a resolution."""
        return self.channel_base or (32768 if resolution >= 512 else 16384)
