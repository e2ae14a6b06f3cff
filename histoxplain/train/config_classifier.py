"""The settings of `train classifier`; no torch, so that the command line can show them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from histoxplain._checks import check_at_least, check_between


@dataclass(frozen=True, kw_only=True)
class ClassifierTraining:
    """How to train a classifier."""

    architecture: str = "efficientnet_lite0"
    """`efficientnet_lite0` (transfer learning works offline), any torchvision classifier by name (`resnet18`),
    `xception` or `timm:NAME` (extra `timm`), or a stacked ensemble of such trunks (`mobilenet_v2+densenet169`)."""
    pretrained: bool | None = None
    """Start from ImageNet weights, which are downloaded; by default only where they are installed
    (`efficientnet_lite0`)."""
    freeze: bool | None = None
    """Leave the trunks of a stacked ensemble as they are and train its head; by default those that start from ImageNet
    weights."""
    resolution: int | None = None
    """Side in pixels at which the network looks at images; by default the data's own or, where that has none or is too
    small for the architecture, what its authors show it."""
    epochs: int = 30
    """Passes over the training split, at most."""
    batch: int = 32
    """Images a step."""
    learning_rate: float = 1e-3
    """Step size of AdamW at its highest, after one epoch of warm-up."""
    weight_decay: float = 0.05
    """Decoupled weight decay of AdamW."""
    label_smoothing: float = 0.1
    """Share of each label spread over all classes."""
    class_weights: bool = True
    """Weigh classes by the inverse of their frequency."""
    balanced_sampling: bool = False
    """Instead of weighing, show every class equally often: rare images several times an epoch, common ones in turn."""
    average: float = 0.99
    """Decay of the moving average of the weights, which is what is validated and kept; 0 turns it off."""
    orientations: bool = True
    """Random flips and quarter turns: tissue has no up."""
    zoom: float = 0.2
    """Random magnification by a factor of up to 1 + zoom either way, with a shift."""
    colour: float = 0.3
    """Strength of random stain, brightness, contrast, saturation and hue; 0 turns it off."""
    sharpness: float = 0.5
    """Strength of random blurring and sharpening."""
    noise: float = 0.1
    """Highest deviation of random Gaussian noise, for images in [-1, 1]."""
    patience: int = 8
    """Stop after this many epochs without a better validation result."""
    reduce_after: int = 2
    """Lower the learning rate after this many epochs without a lower validation loss."""
    reduce_by: float = 0.3
    """Factor by which the learning rate is lowered."""
    snapshot_minutes: float = 5.0
    """Write `state.pt` this often, besides the end of each epoch."""
    seed: int = 0
    """Same seed, same machine, same result."""
    device: str = "auto"
    """`auto` is CUDA when there, else the CPU."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Arithmetic of the network; `auto` is bfloat16 where the hardware has it."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "patience", "reduce_after"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("weight_decay", "colour", "sharpness", "noise"):
            check_at_least(name, getattr(self, name), 0)
        check_at_least("learning_rate", self.learning_rate, 1e-9)
        for name, high in (("label_smoothing", 0.9), ("average", 0.99999), ("zoom", 0.9), ("reduce_by", 0.99)):
            check_between(name, getattr(self, name), 0, high)


CHANGEABLE = ("epochs", "patience", "snapshot_minutes", "device")
"""The settings that may change when a training is resumed."""

BEFORE = {"freeze": None, "balanced_sampling": False}
"""What settings were before they existed, for trainings that began before."""
