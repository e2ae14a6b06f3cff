"""Which values of a scan become black and which white: windows of Hounsfield units, or percentiles."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from histoxplain._checks import check

WINDOWS = {
    "soft tissue": (40.0, 400.0),
    "liver": (60.0, 160.0),
    "lung": (-600.0, 1500.0),
    "bone": (400.0, 1800.0),
    "brain": (40.0, 80.0),
}
"""Centre and width of common windows of CT, in Hounsfield units."""
PERCENTILES = (0.5, 99.5)
NUMBER = r"-?\d+(?:\.\d+)?"


@dataclass(frozen=True)
class Greys:
    """A window (its two ends), or percentiles of the volume.

    Args:
        low: becomes black, -1.
        high: becomes white, 1.
        percentiles: whether these are percentiles, 0 to 100, instead of values.
    """

    low: float
    high: float
    percentiles: bool = False

    def __post_init__(self) -> None:
        ends, got = (self.low, self.high), f"{self.low:g} to {self.high:g}"
        check(all(map(math.isfinite, ends)) and self.low < self.high, "window", "end above its start", got)
        fits = not self.percentiles or (self.low >= 0 and self.high <= 100)
        check(fits, "window", "have percentiles from 0 to 100", got)

    @classmethod
    def parse(cls, text: str) -> Greys:
        """A window as people write it: a name, CENTRE/WIDTH, "percentiles", or LOW%-HIGH%.

        Raises:
            InputError: if it is none of these.

        Example:
            >>> Greys.parse("soft tissue"), Greys.parse("1%-99%").percentiles
            (Greys(low=-160.0, high=240.0, percentiles=False), True)
        """
        if text == "percentiles":
            return cls(*PERCENTILES, percentiles=True)
        if window := re.fullmatch(rf"({NUMBER})/({NUMBER})", text):
            return cls.of(float(window[1]), float(window[2]))
        if shares := re.fullmatch(rf"({NUMBER})%-({NUMBER})%", text):
            return cls(float(shares[1]), float(shares[2]), percentiles=True)
        rule = f"be one of {', '.join(WINDOWS)}, percentiles, or CENTRE/WIDTH, or LOW%-HIGH%"
        near = get_close_matches(text, WINDOWS, n=1)
        check(text in WINDOWS, "window", rule, repr(text), f"nearest valid is {near[0]!r}" if near else "try 40/400")
        return cls.of(*WINDOWS[text])

    @classmethod
    def of(cls, centre: float, width: float) -> Greys:
        """A window by its centre and width."""
        return cls(centre - width / 2, centre + width / 2)

    def of_volume(self, values: np.ndarray) -> Greys:
        """The same for one volume: percentiles become values."""
        if not self.percentiles:
            return self
        low, high = (float(v) for v in np.percentile(values, (self.low, self.high)))
        return Greys(low, high if high > low else low + 1)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Values as greys in [-1, 1], float32, any shape; of percentiles, those of these very values.

        Example:
            >>> Greys.parse("40/400")(np.array([-1000.0, 40.0, 140.0, 240.0])).tolist()
            [-1.0, 0.0, 0.5, 1.0]
        """
        own = self.of_volume(values)
        share = (np.asarray(values, dtype=np.float32) - own.low) / (own.high - own.low)
        return (2 * np.clip(share, 0, 1) - 1).astype(np.float32)
