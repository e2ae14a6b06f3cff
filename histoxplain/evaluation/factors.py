"""The known causes of synthetic tissue as measurements: what is really there, and how it should change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histoxplain.data import Case
from histoxplain.data.synthetic import Causes, repaint, truth
from histoxplain.explain.morphometry.measures import TISSUE, Measure

TYPICAL = Causes(crowding=0.825, nuclear_size=1.65, nuclear_darkness=0.75, extent=0.575)
"""Disease as it is drawn on average, for tissue that is to become diseased."""
WHITE = 0.055
"""Mean optical density of red, green and blue below which a pixel is white: glass, and 0.04 more."""
MEASURED = {m.name: m for m in TISSUE}


@dataclass(frozen=True)
class Factor:
    """A cause that is known, and that morphometry measures."""

    name: str
    """Of the measure; see `explain.morphometry.measures.TISSUE`."""
    least: float = 0.05
    """A true change below this is none."""

    @property
    def measure(self) -> Measure:
        """What measures it."""
        return MEASURED[self.name]


FACTORS = tuple(map(Factor, ("nuclear_size", "nuclear_share", "darkness", "haematoxylin", "white")))
"""Size and darkness of nuclei, how much of the tissue they cover, how blue it is, and lumens. (The number of nuclei is
none of them: among crowded nuclei it is not measured well enough to tell right from wrong.)"""


def true_values(case: Case) -> dict[str, float]:
    """What is really in synthetic tissue, in the units of `explain.measure_image`.

    Args:
        case: made by `tissue` or `repaint`.

    Returns:
        "nuclei", how many show; "nuclear_size", mean pixels of those that no border cuts; "nuclear_share", the share of
        the image they cover; "darkness" and "haematoxylin", the stain in nuclei and in the tissue, in optical density;
        "white", the share of the image without tissue. NaN where there are no nuclei or no tissue.

    Example:
        >>> from histoxplain.data.synthetic import tissue
        >>> sick = tissue(1, resolution=64, share=1)[0]
        >>> true_values(sick)["darkness"] > true_values(repaint(sick, extent=0))["darkness"]
        True
    """
    real = truth(case)
    nuclei = real.nuclei
    cut = np.unique(np.concatenate([nuclei[0], nuclei[-1], nuclei[:, 0], nuclei[:, -1]]))
    whole = np.setdiff1d(np.arange(1, real.count + 1), cut)
    # the mean density of the three channels, from how much of each stain there is
    white = 0.543 * real.haematoxylin + 0.443 * real.eosin + 0.011 < WHITE
    return {
        "nuclei": float(real.count),
        "nuclear_size": mean(np.bincount(nuclei.ravel(), minlength=real.count + 1)[whole]),
        "nuclear_share": float((nuclei > 0).mean()),
        "darkness": mean(real.haematoxylin[nuclei > 0]),
        "haematoxylin": mean(real.haematoxylin[~white]),
        "white": float(white.mean()),
    }


def mean(values: np.ndarray) -> float:
    """The mean; NaN of nothing."""
    return float(values.mean()) if values.size else float("nan")


def twin(case: Case) -> Case:
    """The true counterfactual: the same tissue without its disease, or with disease as it is on average.

    Outside the diseased part it is the same image, pixel by pixel.

    Example:
        >>> from histoxplain.data.synthetic import tissue
        >>> sick, healthy = tissue(1, resolution=32, share=1)[0], tissue(1, resolution=32, share=0)[0]
        >>> twin(sick).label, twin(healthy).label
        (0, 1)
    """
    if case.label:
        return repaint(case, extent=0.0)
    names = ("crowding", "nuclear_size", "nuclear_darkness", "extent")
    return repaint(case, **{name: getattr(TYPICAL, name) for name in names})
