"""Where glands and nuclei lie: everything of an image that has a place but no pixels yet.

The plane is cut into territories, one per possible gland. What happens inside a territory depends on its own causes
only, so tissue outside the diseased territories is the same as in the healthy twin of an image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from histoxplain.data.synthetic.causes import HEALTHY, Causes
from histoxplain.data.synthetic.fields import Field, smoothstep

SPACING = 0.36
ANGLES = 96
NUCLEUS = 0.0175
THETA = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)


@dataclass(frozen=True)
class Layout:
    """Territories and the glands in them; lengths are shares of the image's side."""

    centres: np.ndarray
    """(T, 2), x and y."""
    border: np.ndarray
    """(T, ANGLES): from a centre to the border of its territory."""
    outline: np.ndarray
    """(T, ANGLES): from a centre to the outline of its gland; 0 where there is none."""
    wall: np.ndarray
    """(T,): thickness of the epithelium."""
    diseased: np.ndarray
    """(T,), boolean."""
    nuclear_size: np.ndarray
    nuclear_darkness: np.ndarray
    warp: tuple[Field, Field]
    """Bends everything, in x and y."""


@dataclass(frozen=True)
class Nuclei:
    """Ellipses, one entry each."""

    place: np.ndarray
    """(N, 2), x and y."""
    territory: np.ndarray
    along: np.ndarray
    """Half axis along `angle`."""
    across: np.ndarray
    angle: np.ndarray
    darkness: np.ndarray
    seed: np.ndarray
    """(N, 3) uniform numbers that shape outline and chromatin."""

    def __getitem__(self, chosen: np.ndarray) -> Nuclei:
        return Nuclei(**{name: values[chosen] for name, values in vars(self).items()})

    @staticmethod
    def join(*parts: Nuclei) -> Nuclei:
        """All nuclei of several sets."""
        return Nuclei(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})


def draw_layout(causes: Causes, rng: np.random.Generator) -> Layout:
    """Territories from chance, glands from chance and causes."""
    centres = draw_centres(rng)
    border = borders(centres)
    chance = rng.uniform(size=(len(centres), 10))
    warp = Field.draw(4, rng), Field.draw(4, rng)
    diseased = spread(centres, causes.extent, rng)
    crowding, size, darkness = (
        np.where(diseased, getattr(causes, name), getattr(HEALTHY, name))
        for name in ("crowding", "nuclear_size", "nuclear_darkness")
    )
    rows = 1 + np.where(diseased, np.round(1.8 * crowding * chance[:, 9]), 0)
    wall = NUCLEUS * (size * (0.8 + 1.95 * rows) + 1.7) * (0.92 + 0.16 * chance[:, 8])
    outline = outlines(border, crowding, chance)
    return Layout(centres, border, outline, wall, diseased, size, darkness, warp)


def draw_centres(rng: np.random.Generator) -> np.ndarray:
    """A shaken, turned hexagonal lattice that covers the unit square and its surroundings."""
    rows, columns = np.mgrid[-4:5, -4:5]
    lattice = np.stack([columns + 0.5 * (rows % 2), rows * np.sqrt(0.75)], -1).reshape(-1, 2) * SPACING
    lattice = lattice + rng.uniform(-0.27, 0.27, lattice.shape) * SPACING
    turn = rng.uniform(0, 2 * np.pi)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centres = lattice @ matrix.T + 0.5 + rng.uniform(-0.5, 0.5, 2) * SPACING
    return centres[(np.abs(centres - 0.5) < 0.5 + SPACING).all(1)]


def borders(centres: np.ndarray) -> np.ndarray:
    """Distance from every centre to the border of its Voronoi cell, in every direction: (T, ANGLES)."""
    offset = centres[None] - centres[:, None]
    distance = np.hypot(*np.moveaxis(offset, -1, 0))
    bearing = np.arctan2(offset[..., 1], offset[..., 0])
    cosine = np.cos(THETA - bearing[..., None])
    reach = np.where(cosine > 0.05, distance[..., None] / 2 / np.maximum(cosine, 0.05), np.inf)
    reach[np.arange(len(centres)), np.arange(len(centres))] = np.inf
    return np.minimum(reach.min(1), 0.75 * SPACING)


def spread(centres: np.ndarray, extent: float, rng: np.random.Generator) -> np.ndarray:
    """Which territories are diseased: those nearest to a focus, as many as `extent` asks for."""
    focus, ragged = rng.uniform(0.15, 0.85, 2), rng.uniform(0.8, 1.2, len(centres))
    far = np.hypot(*(centres - focus).T) * ragged
    visible = far[(np.abs(centres - 0.5) < 0.5).all(1)]
    reach = np.quantile(visible, extent) if extent < 1 else np.inf
    return (far <= reach) & (extent > 0)


def outlines(border: np.ndarray, crowding: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Gland outlines: wobbly circles that swell to fill their territory when crowded, and touch at 1."""
    modes = np.array([2, 3, 5])
    phase = 2 * np.pi * chance[:, 1:4, None]
    strength = np.array([0.10, 0.07, 0.05])[:, None] * (0.5 + chance[:, 4:7, None])
    wobble = (strength * np.cos(modes[:, None] * THETA + phase)).sum(1)
    crowding = crowding[:, None]
    full = border - 0.5 * (0.05 - 0.036 * crowding)
    size = (0.68 + 0.3 * crowding) * (0.86 + 0.28 * chance[:, 7:8])
    round_ = border.mean(1, keepdims=True) * size * (1 + (0.6 + 0.8 * crowding) * wobble)
    swell = smoothstep(0.4, 1.1, crowding)
    outline = np.minimum((1 - swell) * round_ + swell * full * (1 + 0.4 * wobble), full)
    present = chance[:, 0] < 0.55 + 0.7 * crowding[:, 0]
    return outline * present[:, None]


def bend_back(points: np.ndarray, layout: Layout) -> np.ndarray:
    """Where points of the unbent plane lie in the image: the inverse of `p + bend(p)`."""
    image = points
    for _ in range(3):
        image = points - bend(layout, image)
    return image


BEND = 0.02


def bend(layout: Layout, points: np.ndarray) -> np.ndarray:
    """How far the plane is bent at `points` (N, 2)."""
    return BEND * np.stack([field.at(points) for field in layout.warp], -1)


def epithelial_nuclei(layout: Layout, rng: np.random.Generator) -> Nuclei:
    """One row of nuclei along the base of the epithelium, and more rows where the wall is thick."""
    count, layers, most = len(layout.centres), 4, 64
    chance = rng.uniform(size=(count, layers, most, 6))
    normal = rng.standard_normal((count, layers, most, 4))
    territory, level, number = np.ogrid[:count, :layers, :most]
    size, wall, dark = (v[:, None, None] for v in (layout.nuclear_size, layout.wall, layout.nuclear_darkness))
    half = NUCLEUS * size
    depth = half * (1.25 + 1.9 * level + 0.22 * normal[..., 0]) + 0.25 * NUCLEUS
    radius = layout.outline.mean(1)[:, None, None] - half * (1.25 + 1.9 * level)
    fitting = np.clip(np.floor(2 * np.pi * radius / (2.15 * half)), 0, most)
    angle = 2 * np.pi * (number + chance[:, :, :1, 0] + 0.2 * normal[..., 1]) / np.maximum(fitting, 1)
    column = np.floor(angle / (2 * np.pi) * ANGLES).astype(np.int64) % ANGLES
    distance = layout.outline[territory, column] - depth
    exists = (number < fitting) & (distance > 0.5 * half) & ((depth + 0.6 * half < wall) | (level == 0))
    place = layout.centres[:, None, None] + distance[..., None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    varied = half * np.exp((0.07 + 0.13 * np.maximum(size - 1, 0)) * normal[..., 2])
    long = 1.06 + 0.3 * chance[..., 1]
    tilt = angle + 0.6 * (chance[..., 2] - 0.5) * size
    shades = dark + 0.06 * normal[..., 3]
    owner = np.broadcast_to(territory, exists.shape)
    nuclei = Nuclei(place, owner, varied * long, varied / long, tilt, shades, chance[..., 3:6])[exists]
    return replace(nuclei, place=bend_back(nuclei.place, layout))
