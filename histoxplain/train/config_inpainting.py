"""Settings of `train inpainting`, free of torch, and the published ones by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from histoxplain._checks import check, check_at_least, check_between, check_one_of

CHANGEABLE = ("kimg", "snapshot_kimg", "tick_kimg", "device", "data", "classifier", "wandb")
Preset = Literal["synthetic", "clinical", "singla"]
Adversarial = Literal["bce", "mse", "hinge"]
Desired = Literal["normal", "opposite"]

_COIN = {"rec_weight": 1.0, "desired": "normal", "output": "tanh", "skips": (1, 2, 3, 4)}
PRESETS: dict[str, dict[str, Any]] = {
    "synthetic": {"kl_weight": 5.0, "tv_weight": 0.05} | _COIN,
    "clinical": {"kl_weight": 1.0, "tv_weight": 5e-5} | _COIN,
    "singla": {
        "kl_weight": 1.0,
        "tv_weight": 0.0,
        "rec_weight": 1.0,
        "desired": "opposite",
        "output": "image",
        "skips": (),
    },
}
"""What the published configurations set; the rest is alike."""


@dataclass(frozen=True, kw_only=True)
class InpaintingConfig:
    """How to train counterfactual inpainting (COIN; Shvetsov et al., 2024) for a classifier."""

    preset: Preset = "synthetic"
    """Where the settings left out come from: COIN's for synthetic anomalies or for clinical data, or "singla": the
    counterfactuals of Singla et al. (2020), which turn every image into the opposite."""
    normal: str | None = None
    """Name of the normal class, by default the one called normal, healthy, benign or the like; all others together
    are abnormal."""
    kimg: float = 400
    """How long to train, in thousands of images shown, each class equally often."""
    batch: int = 16
    """Images a step."""
    lr: float = 2e-4
    """Learning rate of Adam (betas 0 and 0.999) for both networks."""
    adversarial: Adversarial = "bce"
    """What the networks play for: cross-entropy, least squares, or the hinge."""
    adv_weight: float = 1.0
    """Weight of the adversarial term."""
    kl_weight: float | None = None
    """Weight of the divergence between what the classifier should say and what it says of the counterfactual."""
    temper: float = 1.0
    """The classifier's logits are divided by this first. A classifier that is never in doubt tells nothing of how much
    is left of a finding: above 1 it is made to doubt, and more of the finding must go before it is satisfied."""
    rec_weight: float | None = None
    """Weight of the mean absolute differences between the image and its counterfactual, and between the image and the
    way back."""
    back_share: float = 1.0
    """Share of the way back in the latter; 0 saves the time of drawing it."""
    tv_weight: float | None = None
    """Weight of the total variation of the size of the difference."""
    desired: Desired | None = None
    """What the classifier should say: "normal" of what it finds abnormal and of the rest what it says already, or the
    "opposite", 1 - f(x)."""
    generator_interval: int = 5
    """The generator takes a step in every so many of the discriminator's."""
    channel_base: int = 64
    """Feature maps of the inpainter's first two levels; each halving of the resolution after these doubles them."""
    channel_max: int = 1024
    """Feature maps of any level of either network, at most."""
    depth: int = 5
    """Halvings of the resolution in either network."""
    skips: tuple[int, ...] | None = None
    """Levels whose features the decoder sees, 0 the full resolution."""
    output: Literal["tanh", "atanh", "image"] | None = None
    """What the inpainter's output o becomes: tanh(o + x); tanh(o + atanh(x)), where no output is no change; tanh(o)."""
    width_d: int = 64
    """Feature maps of the discriminator's first block."""
    orientations: bool = False
    """Flip and turn training images at random: tissue has no up."""
    augment: float = 0.0
    """How much training images are bent, shifted, brightened and made grainy at random, 0 to 1; for small data."""
    views: float = 0.0
    """The same for counterfactuals that the classifier judges, so that no pattern that only it sees will do; 0 to 1."""
    ema_kimg: float = 2.0
    """Half-life of the averaged inpainter, in thousands of images."""
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
        check_one_of("preset", self.preset, get_args(Preset))
        check_one_of("adversarial", self.adversarial, get_args(Adversarial))
        check_one_of("desired", self.desired, [None, *get_args(Desired)])
        for name in ("batch", "generator_interval", "channel_base", "channel_max", "depth", "width_d"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("adv_weight", "kl_weight", "rec_weight", "back_share", "tv_weight", "validation"):
            if getattr(self, name) is not None:
                check_at_least(name, getattr(self, name), 0)
        for name in ("kimg", "snapshot_kimg", "tick_kimg", "ema_kimg", "lr", "temper"):
            check(getattr(self, name) > 0, name, "be above 0", getattr(self, name))
        for name in ("augment", "views"):
            check_between(name, getattr(self, name), 0, 1)
        check(self.precision != "float16", "precision", "be float32 or bfloat16 in training", self.precision)

    def settled(self) -> InpaintingConfig:
        """With what the preset says in place of what was left out.

        Example:
            >>> InpaintingConfig(preset="clinical", kl_weight=2.0).settled().tv_weight
            5e-05
        """
        left_out = {name: value for name, value in PRESETS[self.preset].items() if getattr(self, name) is None}
        return replace(self, **left_out)
