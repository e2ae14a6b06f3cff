"""What is measured: names, units, and the words for more and less of it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """One quantity, and how a change of it is said."""

    name: str
    about: str
    """What it is a property of; changes of one thing share a clause: "nuclei 31 % fewer and 18 % smaller"."""
    label: str
    """The row of a table."""
    unit: str
    more: str
    less: str
    points: bool = False
    """The change is a difference (of shares: in percentage points) and not a ratio."""
    said: bool = True
    """Sentences mention it; otherwise it repeats another one and only tables show it."""
    places: int = 2
    """Decimals in a table."""

    def change(self, before: float, after: float) -> float:
        """Difference or relative change; NaN where there is nothing to compare with.

        Example:
            >>> Measure("n", "nuclei", "nuclei", "", "more", "fewer").change(100, 69)
            -0.31
        """
        if self.points:
            return after - before
        return round(after / before - 1, 9) if before > 0 and math.isfinite(after) else math.nan

    def words(self, change: float) -> str:
        """The change in words.

        Example:
            >>> Measure("n", "nuclei", "nuclei", "", "more", "fewer").words(-0.31)
            '31 % fewer'
        """
        direction = self.more if change > 0 else self.less
        if not self.points:
            return f"{100 * abs(change):.0f} % {direction}"
        if self.unit == "share":
            points = round(100 * abs(change))
            return f"{points} percentage point{'s' * (points != 1)} {direction}"
        return f"{direction} (by {abs(change):.{self.places}f})"


TISSUE = (
    Measure("nuclei", "nuclei", "nuclei", "", "more", "fewer", places=0),
    Measure("density", "nuclei", "nuclear density", "per megapixel", "denser", "less dense", said=False, places=0),
    Measure("nuclear_size", "nuclei", "mean nuclear area", "px²", "larger", "smaller", places=1),
    Measure("nuclear_share", "nuclei", "share covered by nuclei", "share", "more", "less", points=True, said=False),
    Measure("eccentricity", "nuclei", "eccentricity of nuclei", "0 round, 1 long", "longer", "rounder", points=True),
    Measure("darkness", "nuclei", "haematoxylin in nuclei", "optical density", "darker", "paler"),
    Measure("haematoxylin", "haematoxylin in the tissue", "haematoxylin", "optical density", "more", "less"),
    Measure("eosin", "eosin", "eosin outside nuclei", "optical density", "more", "less"),
    Measure("white", "white space", "white space", "share", "more", "less", points=True),
    Measure("contrast", "texture", "contrast of texture", "grey levels²", "stronger", "weaker"),
    Measure("homogeneity", "texture", "homogeneity of texture", "0 to 1", "smoother", "rougher", said=False),
)
"""What is measured in H&E tissue."""

GENERIC = (
    Measure("brightness", "image", "brightness", "0 to 1", "brighter", "darker"),
    Measure("spread", "grey levels", "spread of grey levels", "0 to 1", "more spread", "less spread", places=3),
    Measure("edges", "edges", "mean edge strength", "0 to 1", "stronger", "weaker", places=3),
    Measure("entropy", "image", "entropy", "bits", "richer", "poorer", said=False),
    Measure("contrast", "texture", "contrast of texture", "grey levels²", "stronger", "weaker"),
    Measure("homogeneity", "texture", "homogeneity of texture", "0 to 1", "smoother", "rougher", said=False),
)
"""What is measured in any other image."""

CATALOGUE = {"h&e": TISSUE, "generic": GENERIC}


def in_units(measure: Measure, microns: float | None) -> str:
    """The unit of a measure, with or without a scale."""
    scaled = {"density": "per mm²", "nuclear_size": "µm²"}
    return scaled.get(measure.name, measure.unit) if microns else measure.unit


def clauses(changes: list[tuple[Measure, float]]) -> str:
    """Changes in words, one clause for each thing they are about.

    Example:
        >>> nuclei, size = TISSUE[0], TISSUE[2]
        >>> clauses([(nuclei, -0.31), (size, -0.18)])
        'nuclei 31 % fewer and 18 % smaller'
    """
    about: dict[str, list[str]] = {}
    for measure, change in changes:
        about.setdefault(measure.about, []).append(measure.words(change))
    return "; ".join(f"{thing} {listed(words)}" for thing, words in about.items())


def listed(words: list[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
