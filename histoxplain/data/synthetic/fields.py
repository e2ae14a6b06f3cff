"""Smooth random fields over the unit square: the same at any resolution, at pixels or at points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


def spline_weights(u: np.ndarray, cells: int) -> np.ndarray:
    """Uniform cubic B-spline weights of `cells + 3` control points at coordinates `u` in [0, 1].

    Returns:
        shape (len(u), cells + 3); rows sum to 1.

    Example:
        >>> (48 * spline_weights(np.array([0.5]), cells=1)).round(3).tolist()
        [[1.0, 23.0, 23.0, 1.0]]
    """
    place = np.clip(u, -0.5, 1.5) * cells
    first = np.clip(np.floor(place), 0, cells - 1).astype(np.int64)
    t = place - first
    basis = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = np.zeros((len(u), cells + 3), dtype=np.float32)
    for k, values in enumerate(basis):
        weights[np.arange(len(u)), first + k] = values / 6
    return weights


@lru_cache(maxsize=64)
def pixel_weights(resolution: int, cells: int) -> np.ndarray:
    """The weights at pixel centres."""
    return spline_weights((np.arange(resolution) + 0.5) / resolution, cells)


@dataclass(frozen=True)
class Field:
    """A cubic spline surface with unit-variance values, from random control points."""

    control: np.ndarray

    @classmethod
    def draw(cls, cells: int, rng: np.random.Generator) -> Field:
        """A field with `cells` bumps along each side."""
        # A cubic B-spline surface keeps about 0.48 of the standard deviation of its control points.
        return cls((rng.standard_normal((cells + 3, cells + 3)) / 0.48).astype(np.float32))

    def pixels(self, resolution: int) -> np.ndarray:
        """Values at pixel centres, float32 (resolution, resolution)."""
        weights = pixel_weights(resolution, len(self.control) - 3)
        return weights @ self.control @ weights.T

    def at(self, points: np.ndarray) -> np.ndarray:
        """Values at `points` (N, 2) given as (x, y) in [0, 1]."""
        cells = len(self.control) - 3
        across, down = spline_weights(points[:, 0], cells), spline_weights(points[:, 1], cells)
        return ((down @ self.control) * across).sum(1)


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
