"""What rebuilds an inpainter, except its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from histoxplain._checks import check, check_at_least, check_between, check_one_of

Output = Literal["tanh", "atanh", "image"]
OUTPUTS = ("tanh", "atanh", "image")


@dataclass(frozen=True, kw_only=True)
class InpainterConfig:
    """The shape of an `Inpainter`."""

    class_names: tuple[str, ...]
    """The classes, in the order of the classifier's; two or more."""
    normal: int = 0
    """Which of them is normal; all others together are abnormal."""
    resolution: int
    """Side in pixels of the images it was trained on; others go through as well."""
    channels: int = 1
    """1 for grey images, 3 for RGB, or any other number."""
    channel_base: int = 64
    """Feature maps of the first two levels; each halving of the resolution after these doubles them."""
    channel_max: int = 1024
    """Feature maps of any level, at most."""
    depth: int = 5
    """Halvings of the resolution."""
    skips: tuple[int, ...] = (1, 2, 3, 4)
    """Levels whose features the decoder sees, 0 the full resolution; the paper has 1 to 4."""
    output: Output = "tanh"
    """What becomes of the network's output o: "tanh", the paper's tanh(o + x); "atanh", tanh(o + atanh(x)), which
    leaves the image exactly as it is where o is 0; "image", tanh(o)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        object.__setattr__(self, "skips", tuple(self.skips))
        count = len(self.class_names)
        check(count >= 2, "class_names", "name at least 2 classes", count, "with one nothing is abnormal")
        check_between("normal", self.normal, 0, count - 1)
        check_one_of("output", self.output, OUTPUTS)
        for name in ("channels", "channel_base", "channel_max", "depth", "resolution"):
            check_at_least(name, getattr(self, name), 1)
        inside = all(0 <= level < self.depth for level in self.skips)
        check(inside, "skips", f"be levels from 0 to {self.depth - 1}", ", ".join(map(str, self.skips)))

    @property
    def widths(self) -> tuple[int, ...]:
        """Feature maps of every level, the full resolution first.

        Example:
            >>> InpainterConfig(class_names=("normal", "abnormal"), resolution=256).widths
            (64, 64, 128, 256, 512, 1024)
        """
        return tuple(min(self.channel_base * 2 ** max(i - 1, 0), self.channel_max) for i in range(self.depth + 1))
