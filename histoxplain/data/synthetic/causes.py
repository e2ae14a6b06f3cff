"""What makes synthetic tissue look as it does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histoxplain._checks import check_between


@dataclass(frozen=True, kw_only=True)
class Causes:
    """The causes behind an image; the defaults are healthy tissue.

    The first three describe the diseased part, and `extent` says how large it is; `stain` colours the whole image and
    says nothing about disease.
    """

    crowding: float = 0.25
    """Glands from scattered (0) to back to back (1)."""
    nuclear_size: float = 1.0
    """Diameter of epithelial nuclei, as a multiple of the healthy one; 0.5 to 2.5."""
    nuclear_darkness: float = 0.35
    """Chromatin of epithelial nuclei from pale (0) to black (1)."""
    stain: float = 0.0
    """From pink, much eosin (-1), to blue, much haematoxylin (1)."""
    extent: float = 0.0
    """Share of the tissue that is diseased, 0 to 1."""

    def __post_init__(self) -> None:
        check_between("crowding", self.crowding, 0, 1)
        check_between("nuclear_size", self.nuclear_size, 0.5, 2.5)
        check_between("nuclear_darkness", self.nuclear_darkness, 0, 1)
        check_between("stain", self.stain, -1, 1)
        check_between("extent", self.extent, 0, 1)


HEALTHY = Causes()
EXTENT = (0.25, 0.9)
"""Between which the diseased share of an image is drawn unless told otherwise."""


def draw_causes(diseased: bool, rng: np.random.Generator, extent: tuple[float, float] = EXTENT) -> Causes:
    """Draw the causes of one image; stain is drawn alike for both classes, `extent` between its two bounds.

    Example:
        >>> draw_causes(False, np.random.default_rng(0)).extent
        0.0
    """
    low, high = extent
    crowding, size, darkness, sick = rng.uniform((0.65, 1.4, 0.6, low), (1.0, 1.9, 0.9, high)).tolist()
    stain = float(np.clip(rng.normal(0, 0.4), -1, 1))
    if not diseased:
        return Causes(stain=stain)
    return Causes(crowding=crowding, nuclear_size=size, nuclear_darkness=darkness, stain=stain, extent=sick)
