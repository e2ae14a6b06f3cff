"""What rebuilds a translator, except its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from histoxplain._checks import check, check_at_least, check_one_of

Architecture = Literal["attention-unet", "resnet"]
ARCHITECTURES = ("attention-unet", "resnet")


@dataclass(frozen=True, kw_only=True)
class TranslatorConfig:
    """The shape of a `Translator`."""

    class_names: tuple[str, ...]
    """The classes between which it translates, in the order of the classifier's; two or more."""
    resolution: int
    """Side in pixels of the images it was trained on; others go through as well."""
    channels: int = 1
    """1 for grey images, 3 for RGB, or any other number."""
    architecture: Architecture = "attention-unet"
    """"attention-unet" (Oktay et al., 2018) or "resnet" (Zhu et al., 2017)."""
    width: int = 32
    """Feature maps of the first layer; each halving of the resolution doubles them."""
    depth: int = 4
    """Halvings of the resolution in an attention U-Net; a ResNet has two."""
    blocks: int = 6
    """Residual blocks of a ResNet; 9 from 256 px on in the paper."""
    residual: bool = True
    """Draw the change that is added to the image, rather than the image: what stays need not be drawn again."""
    shrink: int = 1
    """Draw the change at this fraction of the resolution: what is finer stays as it is, and time is saved."""
    joint: bool = False
    """One network that is told the target, rather than one for each target; needed for more than two classes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        count = len(self.class_names)
        check(count >= 2, "class_names", "name at least 2 classes", count, "with one there is nothing to translate to")
        check_one_of("architecture", self.architecture, ARCHITECTURES)
        for name in ("channels", "width", "depth", "blocks", "resolution", "shrink"):
            check_at_least(name, getattr(self, name), 1)
        ok = self.shrink == 1 or self.residual
        check(ok, "shrink", "be 1 where the image is drawn and not its change", self.shrink, "or turn `residual` on")
        check(count == 2 or self.joint, "joint", f"be on for {count} classes", self.joint)
