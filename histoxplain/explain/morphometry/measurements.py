"""One image as numbers: nuclei, stains and white space of H&E, intensity and edges of anything else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from skimage.feature import graycomatrix, graycoprops
from skimage.filters import sobel
from torch import Tensor

from histoxplain._checks import check
from histoxplain.data.stain import optical_density, separate_stains
from histoxplain.explain.morphometry.measures import CATALOGUE, in_units
from histoxplain.explain.morphometry.nuclei import RESOLVED, enlarged, segment_nuclei
from histoxplain.explain.morphometry.yardstick import Yardstick, checked, yardstick_for

LEVELS = 32
"""Grey levels of textures."""
LEAST_TISSUE = 0.01
"""Share of an image below which there is too little tissue to speak of its stains."""


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured in one image; NaN where there was nothing to measure."""

    values: Mapping[str, float]
    """By name; see `TISSUE` and `GENERIC`. Shares are from 0 to 1."""
    yardstick: Yardstick
    """By which rules."""
    microns: float | None = None
    """Side of a pixel in µm, if known: areas are in µm² and densities per mm² then, else in px² and per megapixel."""
    notes: tuple[str, ...] = ()
    """Why something could not be measured."""

    @property
    def kind(self) -> str:
        """Either "h&e" or "generic"."""
        return self.yardstick.kind

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    def rows(self) -> list[dict[str, Any]]:
        """The table: one row a measure with "name", "label", "unit" and "value"."""
        measures = CATALOGUE[self.kind]
        units = [in_units(m, self.microns) for m in measures]
        return [
            {"name": m.name, "label": m.label, "unit": unit, "value": self.values[m.name]}
            for m, unit in zip(measures, units)
        ]

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; None for what could not be measured."""
        values = {name: value if math.isfinite(value) else None for name, value in self.values.items()}
        return {"kind": self.kind, "microns": self.microns, "values": values, "notes": list(self.notes)}


def measure_image(
    image: Tensor,
    kind: str = "auto",
    microns: float | None = None,
    yardstick: Yardstick | None = None,
    diameter: float | None = None,
) -> Measurements:
    """Measure one image.

    Of H&E: nuclei (`segment_nuclei`), the density of both stains where there is tissue, white space, texture. Of
    anything else: brightness, spread, edges, entropy, texture. Texture is Haralick's contrast and homogeneity of
    neighbouring pixels in 32 grey levels, over four directions (*Textural features for image classification*, IEEE
    Trans SMC 3, 1973).

    Args:
        image: `(C, H, W)` in `[-1, 1]`.
        kind: "h&e", "generic" or "auto" (`kind_of`); ignored where there is a yardstick.
        microns: side of a pixel in µm.
        yardstick: rules that other images were measured by; by default made for this image alone.
        diameter: of typical nuclei in pixels, if it is known; ignored where there is a yardstick.

    Raises:
        InputError: if the image cannot be measured.

    Example:
        >>> import torch
        >>> measure_image(torch.full((1, 16, 16), 0.5))["brightness"]
        0.75
    """
    if microns is not None:
        check(0 < microns < math.inf, "microns", "be a positive number", microns, "0.5 is usual at 20x")
    (x,) = checked([image])
    yardstick = yardstick or yardstick_for([x], kind, diameter)
    values, notes = tissue_values(x, yardstick, microns) if yardstick.kind == "h&e" else (generic_values(x), [])
    return Measurements(values, yardstick, microns, tuple(notes))


def tissue_values(x: Tensor, yardstick: Yardstick, microns: float | None) -> tuple[dict[str, float], list[str]]:
    """Values of `TISSUE`, and why some are missing."""
    h, e = separate_stains(x[None])[0].double().numpy()
    tissue = optical_density(x).mean(0).numpy() >= yardstick.white
    values, notes = nuclear_values(x, h, yardstick, microns)
    plasm = tissue & (h <= yardstick.nuclear)
    if tissue.mean() < LEAST_TISSUE:
        notes.append("there is hardly any tissue")
    values["haematoxylin"], values["eosin"] = mean_in(h, tissue), mean_in(e, plasm)
    values["white"] = float(1 - tissue.mean())
    return values | texture(grey_of(x)), notes


def mean_in(stain: np.ndarray, part: np.ndarray) -> float:
    """Mean density in a part of the image; NaN where it is too small to speak of."""
    return float(stain[part].mean()) if part.mean() >= LEAST_TISSUE else math.nan


def nuclear_values(
    x: Tensor, h: np.ndarray, yardstick: Yardstick, microns: float | None
) -> tuple[dict[str, float], list[str]]:
    """Number, density, size, shape and darkness of nuclei; sizes and shapes are of those that no border cuts."""
    names = ("nuclei", "density", "nuclear_size", "nuclear_share", "eccentricity", "darkness")
    if yardstick.radius < RESOLVED:
        note = f"nuclei of about {2 * yardstick.radius:.0f} px are too small to be told apart"
        return dict.fromkeys(names, math.nan), [note]
    nuclei = segment_nuclei(x, yardstick)
    side = microns or 1.0
    field = h.size * side**2 / 1e6
    if not len(nuclei):
        return dict.fromkeys(names, math.nan) | {"nuclei": 0.0, "density": 0.0, "nuclear_share": 0.0}, ["no nuclei"]
    whole = ~nuclei.border if (~nuclei.border).any() else nuclei.border
    return {
        "nuclei": float(len(nuclei)),
        "density": float((~nuclei.border).sum() + nuclei.border.sum() / 2) / field,
        "nuclear_size": float(nuclei.area[whole].mean()) * side**2,
        "nuclear_share": float(nuclei.area.sum() / h.size),
        "eccentricity": float(nuclei.eccentricity[whole].mean()),
        "darkness": float(enlarged(h, nuclei.zoom)[nuclei.labels > 0].mean()),
    }, []


def generic_values(x: Tensor) -> dict[str, float]:
    """Values of `GENERIC`."""
    grey = grey_of(x)
    share = np.bincount((grey * 63.999).astype(int).ravel(), minlength=64) / grey.size
    share = share[share > 0]
    return {
        "brightness": float(grey.mean()),
        "spread": float(grey.std()),
        "edges": float(sobel(grey).mean()),
        "entropy": float(-(share * np.log2(share)).sum()) + 0.0,
    } | texture(grey)


def grey_of(x: Tensor) -> np.ndarray:
    """Brightness in `[0, 1]`, `(H, W)`, the mean of the channels."""
    return (x.double().mean(0).numpy() + 1) / 2


def texture(grey: np.ndarray) -> dict[str, float]:
    """Haralick's contrast and homogeneity of brightness in `[0, 1]`."""
    levels = (grey * (LEVELS - 0.001)).astype(np.uint8)
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    pairs = graycomatrix(levels, [1], angles, LEVELS, symmetric=True, normed=True)
    return {name: float(graycoprops(pairs, name).mean()) for name in ("contrast", "homogeneity")}
