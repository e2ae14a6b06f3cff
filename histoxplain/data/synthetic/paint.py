"""From a layout to pixels: amounts of haematoxylin and eosin, then light through both (Beer-Lambert)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histoxplain.data.synthetic.fields import Field, smoothstep
from histoxplain.data.synthetic.layout import ANGLES, BEND, NUCLEUS, Layout, Nuclei, bend

HAEMATOXYLIN = np.array([0.59, 0.74, 0.30], dtype=np.float32)
EOSIN = np.array([0.093, 0.954, 0.283], dtype=np.float32)
"""Absorption of red, green and blue (Ruifrok and Johnston, 2001)."""


@dataclass(frozen=True)
class Plan:
    """What every pixel belongs to, arrays (R, R)."""

    territory: np.ndarray
    """Which territory."""
    depth: np.ndarray
    """How far inside the gland's outline; negative outside."""
    edge: np.ndarray
    """How far from the border of the territory."""


def survey(layout: Layout, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Territory, depth inside the gland, distance to the border of the territory, at image points (N, 2)."""
    return locate(layout, points + bend(layout, points))


def locate(layout: Layout, bent: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same at points of the bent plane."""
    bent, centres = bent.astype(np.float32), layout.centres.astype(np.float32)
    squared = (bent[:, :1] - centres[:, 0]) ** 2 + (bent[:, 1:] - centres[:, 1]) ** 2
    nearest = squared.argmin(1)
    two = np.sqrt(np.partition(squared, 1, axis=1)[:, :2])
    offset = bent - centres[nearest]
    turn = (np.arctan2(offset[:, 1], offset[:, 0]) / (2 * np.pi) * ANGLES) % ANGLES
    low = np.floor(turn).astype(np.int64) % ANGLES
    share = turn - np.floor(turn)
    outline = layout.outline[nearest, low] * (1 - share) + layout.outline[nearest, (low + 1) % ANGLES] * share
    return nearest, outline - two[:, 0], (two[:, 1] - two[:, 0]) / 2


def make_plan(layout: Layout, resolution: int) -> Plan:
    """Survey all pixels."""
    axis = (np.arange(resolution, dtype=np.float32) + 0.5) / resolution
    x, y = np.meshgrid(axis, axis)
    across, down = (BEND * field.pixels(resolution) for field in layout.warp)
    bent = np.stack([x + across, y + down], -1).reshape(-1, 2)
    return Plan(*(values.reshape(resolution, resolution) for values in locate(layout, bent)))


def stromal_nuclei(layout: Layout, flow: Field, rng: np.random.Generator) -> Nuclei:
    """Spindle-shaped nuclei along the fibres and a scatter of round lymphocytes, outside the glands."""
    spindles, round_ = 110, 26
    count = spindles + round_
    chance, normal = rng.uniform(size=(count, 8)), rng.standard_normal((count, 3))
    place = chance[:, :2].copy()
    focus = rng.uniform(0, 1, 2)
    place[spindles:] = focus + 0.11 * normal[spindles:, :2]
    territory, depth, _ = survey(layout, place)
    towards = layout.centres[territory] - place
    around = np.arctan2(towards[:, 0], -towards[:, 1])
    step = 1e-2
    slope = [flow.at(place + np.array(d)) - flow.at(place - np.array(d)) for d in ((step, 0), (0, step))]
    near = (depth > -0.035) & (layout.outline.max(1)[territory] > 0)
    angle = np.where(near, around, np.arctan2(-slope[0], slope[1])) + 0.15 * normal[:, 2]
    slim = np.arange(count) < spindles
    along = NUCLEUS * np.where(slim, 1.1 + 0.7 * chance[:, 2], 0.62)
    across = NUCLEUS * np.where(slim, 0.34 + 0.16 * chance[:, 3], 0.58)
    darkness = np.where(slim, 0.42 + 0.25 * chance[:, 4], 0.82)
    nuclei = Nuclei(place, territory, along, across, angle, darkness, chance[:, 5:8])
    return nuclei[depth < -0.9 * np.where(slim, across, along) - 0.003]


def splat(nuclei: Nuclei, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Draw nuclei: (cover in [0, 1], chromatin), both (R, R). Nuclei end where their territory ends."""
    resolution = len(plan.territory)
    cover, chromatin = np.zeros((2, resolution, resolution), dtype=np.float32)
    nuclei = nuclei[((nuclei.place > -0.1) & (nuclei.place < 1.1)).all(1)]
    size = np.maximum(nuclei.along, nuclei.across)
    small = size < 1.4 * NUCLEUS
    for part, reach in ((nuclei[small], 1.4 * NUCLEUS), (nuclei[~small], size.max(initial=0))):
        half = int(np.ceil(1.3 * reach * resolution)) + 1
        chunk = max(1, 4_000_000 // (2 * half + 1) ** 2)
        for start in range(0, len(part.place), chunk):
            splat_some(part[np.arange(start, min(start + chunk, len(part.place)))], plan, half, cover, chromatin)
    return cover, chromatin


def splat_some(nuclei: Nuclei, plan: Plan, half: int, cover: np.ndarray, chromatin: np.ndarray) -> None:
    """Draw nuclei into `cover` and `chromatin`, each within `half` pixels of its centre."""
    number, at, u, v = pixels_of(nuclei, plan, half)
    along, across, darkness = (values[number] for values in (nuclei.along, nuclei.across, nuclei.darkness))
    a, b, c = nuclei.seed[number].T
    squared = u * u + v * v
    dent = 0.3 * (a - 0.5) * u + 0.3 * (b - 0.5) * v + 0.5 * (c - 0.5) * u * v
    r = np.sqrt(squared) * (1 + dent / np.maximum(squared, 1))
    pixel = 1 / (len(plan.territory) * np.sqrt(along * across))
    thin = np.minimum(1, 1.6 * across * len(plan.territory))
    alpha = np.clip((1 - r) / np.maximum(pixel, 0.12) + 0.5, 0, 1) * thin
    spot = np.exp(-((u - 0.8 * (a - 0.5)) ** 2 + (v - 0.8 * (b - 0.5)) ** 2) / 0.06)
    clumps = 0.12 * np.sin(7 * u + 6 * a) * np.sin(7 * v + 6 * b)
    inner = 0.86 + 0.2 * squared**2 + 0.45 * darkness * (c > 0.45) * spot + clumps
    np.maximum.at(cover, at, alpha)
    np.maximum.at(chromatin, at, alpha * np.clip(inner * darkness, 0.05, 1.2))


def pixels_of(
    nuclei: Nuclei, plan: Plan, half: int
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """All pixels near a nucleus and in its territory: its number, (row, column), place along and across it (1: rim)."""
    resolution = len(plan.territory)
    step = np.arange(-half, half + 1)
    corner = np.floor(nuclei.place * resolution).astype(np.int64)
    columns, rows = corner[:, 0, None] + step, corner[:, 1, None] + step
    x = ((columns + 0.5) / resolution - nuclei.place[:, 0, None]).astype(np.float32)[:, None, :]
    y = ((rows + 0.5) / resolution - nuclei.place[:, 1, None]).astype(np.float32)[:, :, None]
    cosine, sine = (f(nuclei.angle).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
    along, across = (half_axis.astype(np.float32)[:, None, None] for half_axis in (nuclei.along, nuclei.across))
    u, v = (x * cosine + y * sine) / along, (y * cosine - x * sine) / across
    number, down, right = np.nonzero(u * u + v * v < (1.25 + 0.5 / (resolution * across)) ** 2)
    row, column = rows[number, down], columns[number, right]
    inside = (row >= 0) & (row < resolution) & (column >= 0) & (column < resolution)
    inside[inside] = plan.territory[row[inside], column[inside]] == nuclei.territory[number[inside]]
    number, down, right = number[inside], down[inside], right[inside]
    return number, (row[inside], column[inside]), u[number, down, right], v[number, down, right]


def amounts(layout: Layout, plan: Plan, nuclei: Nuclei, flow: Field, rng: np.random.Generator) -> np.ndarray:
    """Amounts of haematoxylin and eosin, float32 (2, R, R)."""
    resolution = len(plan.territory)
    coarse, medium, fine, grain = (Field.draw(cells, rng).pixels(resolution) for cells in (5, 14, 36, 60))
    soft = max(0.7 / resolution, 0.004)
    wall = layout.wall[plan.territory] * (1 + 0.12 * medium + 0.06 * fine)
    gland = smoothstep(-soft, soft, plan.depth)
    lumen = gland * smoothstep(-soft, soft, plan.depth - wall)
    stroma_h, stroma_e = stroma(layout, plan, flow, coarse, medium, fine)
    apical = np.clip(plan.depth / np.maximum(wall, 1e-3), 0, 1)
    cell_h = 0.15 - 0.05 * apical + 0.025 * grain
    cell_e = 0.40 - 0.13 * apical + 0.05 * fine + 0.03 * grain
    base = 0.22 * np.exp(-((plan.depth / (1.6 * soft)) ** 2)) * (layout.outline.max(1) > 0)[plan.territory]
    secretion = 0.16 * smoothstep(0.2, 1.2, coarse + 0.3 * medium)
    h = stroma_h * (1 - gland) + gland * ((1 - lumen) * cell_h + lumen * 0.012)
    e = stroma_e * (1 - gland) + gland * ((1 - lumen) * cell_e + lumen * (0.02 + secretion)) + base
    cover, chromatin = splat(nuclei, plan)
    h = h * (1 - cover) + cover * 0.05 + chromatin * (1.0 + 0.08 * fine + 0.06 * grain)
    return np.stack([h, e * (1 - 0.4 * cover)]).astype(np.float32)


def stroma(
    layout: Layout, plan: Plan, flow: Field, coarse: np.ndarray, medium: np.ndarray, fine: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Haematoxylin and eosin of the fibres, which follow the level lines of `flow` and wrap around glands."""
    present = (layout.outline.max(1) > 0)[plan.territory]
    wrap = np.exp(np.minimum(plan.depth, 0) / 0.05) * smoothstep(0.0, 0.04, plan.edge) * present
    phase = 3.2 * flow.pixels(len(plan.territory)) * (1 - wrap) - 55 * plan.depth * wrap * 0.6 + 0.5 * medium
    fibres = 0.6 * np.sin(4 * phase) + 0.4 * np.sin(9 * phase + 1.5 * fine)
    cleft = smoothstep(0.45, 1.0, np.sin(2 * phase + 1.2)) * smoothstep(0.3, 1.3, coarse + 0.4 * medium)
    e = (0.40 + 0.07 * coarse + 0.11 * fibres + 0.04 * fine) * (1 - 0.88 * cleft)
    h = (0.055 + 0.015 * fibres + 0.01 * coarse) * (1 - 0.8 * cleft)
    return np.maximum(h, 0.01), np.maximum(e, 0.03)


def develop(stains: np.ndarray, stain: float, rng: np.random.Generator) -> np.ndarray:
    """Light through the stained tissue: float32 (R, R, 3) in [0, 1].

    Args:
        stains: amounts of haematoxylin and eosin, (2, R, R).
        stain: from pink (-1) to blue (1).
        rng: for the camera's noise.
    """
    h, e = densities(stains, stain)
    red = EOSIN + np.array([0.04, 0, -0.05], dtype=np.float32) * stain
    blue = HAEMATOXYLIN + np.array([0.05, 0, -0.04], dtype=np.float32) * stain
    density = h[..., None] * blue + e[..., None] * red + 0.025
    light = np.exp(-density)
    return np.clip(light + 0.006 * rng.standard_normal(light.shape, dtype=np.float32), 0, 1)


def densities(stains: np.ndarray, stain: float) -> np.ndarray:
    """Natural-logarithmic density of haematoxylin and eosin, (2, R, R), from their amounts and the cause `stain`."""
    return np.stack([1.55 * np.exp(0.3 * stain) * stains[0], 0.95 * np.exp(-0.35 * stain) * stains[1]])
