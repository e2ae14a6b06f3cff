"""From slices to labelled examples: with and without an organ, or with and without a synthetic anomaly in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from histoxplain.data.report import Skipped
from histoxplain.data.volumes.anomaly import Anomaly, add_anomaly, place
from histoxplain.data.volumes.organs import phrase
from histoxplain.data.volumes.slices import Stack


@dataclass(frozen=True, eq=False)
class Example:
    """One slice as it is written."""

    id: str
    volume: str
    height: int
    """Number of the slice, from the feet."""
    greys: np.ndarray
    """Shape (R, R), in [-1, 1]."""
    label: int
    mask: np.ndarray | None
    """Shape (R, R), boolean: what an explanation should find."""
    pixel: float

    @property
    def slice_id(self) -> str:
        """What the slice is called, whichever anomaly was drawn into it."""
        return f"{self.volume}/{self.height:03d}"


def class_names(organs: Sequence[str], anomaly: Anomaly | None) -> list[str]:
    """What the classes are called.

    Example:
        >>> class_names(["kidney"], None)
        ['without kidney', 'with kidney']
    """
    what = "anomaly" if anomaly else phrase(organs) or "mask"
    return [f"without {what}", f"with {what}"]


def by_organ(stack: Stack, least: int = 1) -> Iterator[Example | Skipped]:
    """Every slice; with the organ if at least `least` pixels show it, left out if fewer do."""
    for z, greys in enumerate(stack.greys):
        id, organ = f"{stack.name}/{z:03d}", None if stack.organ is None else stack.organ[z]
        pixels = 0 if organ is None else int(organ.sum())
        if 0 < pixels < least:
            yield Skipped(id, f"only {pixels} pixels of the organ")
        else:
            yield Example(id, stack.name, z, greys, -1 if organ is None else int(pixels > 0), organ, stack.pixel)


def with_anomalies(stack: Stack, anomaly: Anomaly, share: float, draws: int, seed: int) -> Iterator[Example | Skipped]:
    """Every slice whose organ is large enough for an anomaly, drawn several times, with and without one.

    Args:
        stack: the slices, with their organ.
        anomaly: what may be laid into it.
        share: probability of an anomaly.
        draws: how many times each slice is drawn.
        seed: of chance, place and shape; what is drawn depends on it, the volume's name, the slice and the draw only.
    """
    resolution = stack.greys.shape[-1]
    for z, (greys, organ) in enumerate(zip(stack.greys, stack.organ)):
        if place(organ, anomaly.reach(resolution), np.random.default_rng(0)) is None:
            yield Skipped(f"{stack.name}/{z:03d}", "no room for an anomaly in the organ")
            continue
        for draw in range(draws):
            own = (seed, crc32(stack.name.encode()), z, draw)
            sick = np.random.default_rng((*own, 1)).uniform() < share
            laid = add_anomaly(greys, organ, own, anomaly) if sick else None
            image, mask = laid or (greys, np.zeros_like(organ))
            id = f"{stack.name}/{z:03d}" + (f"-{draw}" if draws > 1 else "")
            yield Example(id, stack.name, z, image, int(sick), mask, stack.pixel)


def repeats(stacks: Sequence[Stack]) -> dict[str, str]:
    """Slices that an earlier volume has, voxel by voxel, and where: they would leak from training to test."""
    known: dict[str, str] = {}
    found: dict[str, str] = {}
    for stack in stacks:
        own = {f"{stack.name}/{z:03d}": print for z, print in enumerate(stack.prints) if print is not None}
        found |= {id: f"the same voxels as {known[print]}" for id, print in own.items() if print in known}
        known |= {print: id for id, print in own.items() if print not in known}
    return found
