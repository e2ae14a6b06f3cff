"""Synthetic anomalies inside organs, whose place is known: what an explanation should find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.special import expit

from histoxplain._checks import check, check_between, check_one_of

REFERENCE = 256
"""Resolution that sizes in pixels refer to; they scale with the resolution."""
GRAIN = 0.12
"""Standard deviation of texture of full strength, as a share of the way from black to white."""


@dataclass(frozen=True)
class Anomaly:
    """A synthetic anomaly that may be laid into an organ.

    Args:
        kind: "blob", a bright Gaussian as in COIN (Shvetsov et al., 2024), or "texture", an irregular region of coarse
            grain, no brighter on average than the organ around it.
        size: side of the square it fills, in pixels at 256 px.
        sigma: of the blob, as a share of half its side.
        alpha: how much of the organ it hides at its peak, 0 to 1; of texture, the strength of its grain.
        edge: it reaches as far as it has this share of its peak: there the true mask ends.
        vary: 0 to 1; each one is smaller and fainter than this size and alpha, by up to this share of either.
    """

    kind: str = "blob"
    size: float = 20.0
    sigma: float = 0.4
    alpha: float = 0.9
    edge: float = 0.25
    vary: float = 0.0

    def __post_init__(self) -> None:
        check_one_of("anomaly", self.kind, ANOMALIES)
        check(self.size > 0 and self.sigma > 0, "size and sigma", "be above 0", (self.size, self.sigma))
        check_between("alpha", self.alpha, 0, 1)
        check(0 < self.edge < 1, "edge", "lie between 0 and 1", self.edge)
        check(0 <= self.vary < 1, "vary", "be 0 or more and below 1", self.vary)

    def reach(self, resolution: int) -> float:
        """Radius of the true mask, in pixels; of texture on average."""
        return 0.5 * self.size * resolution / REFERENCE * self.sigma * float(np.sqrt(-2 * np.log(self.edge)))

    def drawn(self, rng: np.random.Generator) -> Anomaly:
        """One of its kind, of chance size and strength; with `vary` 0 itself, and nothing is drawn.

        Example:
            >>> Anomaly(size=40, vary=0.5).drawn(np.random.default_rng(0)).size
            27.26...
        """
        if not self.vary:
            return self
        size, alpha = (1 - self.vary * rng.uniform(size=2)).tolist()
        return replace(self, size=size * self.size, alpha=alpha * self.alpha, vary=0.0)


def add_anomaly(
    greys: np.ndarray, organ: np.ndarray, seed: int | tuple[int, ...] = 0, anomaly: Anomaly | str = "blob"
) -> tuple[np.ndarray, np.ndarray] | None:
    """Lay an anomaly into an organ.

    It lies where it fits as a whole, anywhere with equal chance.

    Args:
        greys: a slice, shape (H, W), in [-1, 1].
        organ: where it may lie, boolean (H, W).
        seed: of its place and shape.
        anomaly: which, or its kind.

    Returns:
        The slice with the anomaly, float32 in [-1, 1], and its true mask, boolean (H, W); None if it fits nowhere.

    Raises:
        InputError: if the shapes differ, or there is no such anomaly.

    Example:
        >>> slice, mask = add_anomaly(np.zeros((256, 256)), np.ones((256, 256), dtype=bool))
        >>> int(mask.sum()), f"{slice.max():.2f}"
        (137, '0.90')
    """
    anomaly = Anomaly(anomaly) if isinstance(anomaly, str) else anomaly
    check(greys.shape == organ.shape, "organ", f"have the slice's shape {greys.shape}", organ.shape)
    rng = np.random.default_rng(seed)
    resolution = max(greys.shape)
    anomaly = anomaly.drawn(rng)
    shape = ANOMALIES[anomaly.kind](anomaly, resolution, rng)
    centre = place(organ, anomaly.reach(resolution), rng)
    if centre is None:
        return None
    rows, columns = (np.arange(n) - at for n, at in zip(greys.shape, centre))
    return shape(np.asarray(greys, dtype=np.float32), rows[:, None], columns[None], organ)


def place(organ: np.ndarray, reach: float, rng: np.random.Generator) -> tuple[int, int] | None:
    """A pixel of an organ (H, W) that is at least `reach` pixels from its border, any of them with equal chance."""
    depth = ndimage.distance_transform_edt(np.pad(organ, 1))[1:-1, 1:-1]
    places = np.argwhere(depth > reach)
    return None if len(places) == 0 else tuple(int(n) for n in places[rng.integers(len(places))])


Shape = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From a slice, rows and columns from the centre, and the organ, to the slice with the anomaly and its true mask."""


def blob(anomaly: Anomaly, resolution: int, rng: np.random.Generator) -> Shape:
    """A Gaussian that turns the organ white."""
    half = 0.5 * anomaly.size * resolution / REFERENCE

    def laid(greys: np.ndarray, rows: np.ndarray, columns: np.ndarray, organ: np.ndarray) -> tuple:
        weight = np.exp(-(rows**2 + columns**2) / (2 * (anomaly.sigma * half) ** 2))
        weight = weight * (np.maximum(abs(rows), abs(columns)) <= half)  # nothing beyond its square
        cover = anomaly.alpha * weight.astype(np.float32)
        return greys * (1 - cover) + cover, weight >= anomaly.edge

    return laid


def texture(anomaly: Anomaly, resolution: int, rng: np.random.Generator) -> Shape:
    """An irregular region with coarse grain; its mean is that of the organ below it."""
    reach = anomaly.reach(resolution)
    waves, turns = rng.uniform(0.05, 0.18, 3) / np.arange(1, 4), rng.uniform(0, 2 * np.pi, 3)
    long, angle = rng.uniform(1.0, 1.5), rng.uniform(0, np.pi)
    grain = rng.standard_normal((resolution, resolution))

    def laid(greys: np.ndarray, rows: np.ndarray, columns: np.ndarray, organ: np.ndarray) -> tuple:
        u, v = rows * np.cos(angle) + columns * np.sin(angle), columns * np.cos(angle) - rows * np.sin(angle)
        around = np.arctan2(v, u)
        border = 1 + sum(a * np.cos((k + 2) * around + t) for k, (a, t) in enumerate(zip(waves, turns)))
        far = np.hypot(u * long, v / long) / (reach * border)
        cover = expit(12 * (1 - far))  # a soft edge
        mask = (far <= 1) & organ
        own = grain[: greys.shape[0], : greys.shape[1]]
        coarse = ndimage.gaussian_filter(own, max(0.6, 1.5 * resolution / REFERENCE))
        inside = coarse[mask] if mask.any() else coarse
        coarse = (coarse - inside.mean()) / max(float(inside.std()), 1e-6)
        changed = greys + (2 * GRAIN * anomaly.alpha * coarse * cover * organ).astype(np.float32)
        return np.clip(changed, -1, 1), mask

    return laid


ANOMALIES: dict[str, Callable[[Anomaly, int, np.random.Generator], Shape]] = {"blob": blob, "texture": texture}
"""Kinds of anomalies."""
