"""Nuclei, one by one, in tissue stained with haematoxylin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.morphology import reconstruction
from skimage.segmentation import watershed
from torch import Tensor

from histoxplain._checks import check
from histoxplain.data.stain import separate_stains
from histoxplain.explain.morphometry.yardstick import Yardstick, blobs, checked, yardstick_for

RESOLVED = 2.0
"""Nuclei of a smaller radius, in pixels, cannot be told apart."""
FINE = 5
"""Radius in pixels below which images are enlarged twofold before nuclei are looked for."""
ABOVE = 0.05
"""How much more haematoxylin a nucleus holds than its surroundings, optical density."""
FLOOR = 0.5
"""Share of the threshold that even a pale nucleus must hold."""
SCALES = (0.4, 0.7, 1.0)
"""Radii of blobs looked for, as multiples of the typical one."""
SADDLE = 0.3
"""Two peaks are two nuclei if the saddle between them is lower than the lower peak by so many deviations."""
SMALLEST = 0.08
"""Smallest area of a nucleus as a share of the typical one."""


@dataclass(frozen=True, eq=False)
class Nuclei:
    """The nuclei of one image, `n` of them."""

    labels: np.ndarray
    """int (H * zoom, W * zoom): 0 outside, else the number of the nucleus, 1 to n."""
    zoom: int
    """How much finer than the image the labels are."""
    area: np.ndarray
    """(n,) in px² of the image."""
    eccentricity: np.ndarray
    """(n,) of the ellipse with the same second moments: 0 for a circle, near 1 for a needle."""
    border: np.ndarray
    """(n,) bool: cut by the border of the image."""

    def __len__(self) -> int:
        return len(self.area)


def segment_nuclei(image: Tensor, yardstick: Yardstick | None = None) -> Nuclei:
    """Find nuclei by their haematoxylin, and part those that touch.

    A pixel belongs to a nucleus if it holds more haematoxylin than its surroundings and than a share of the threshold.
    Seeds are the peaks of Laplacians of several widths, none wider than the distance to the nearest border allows,
    joined with that distance; a watershed grows them (Al-Kofahi et al., *Improved automatic detection and
    segmentation of cell nuclei in histopathology images*, IEEE Trans Biomed Eng 57, 2010). Peaks without a clear
    saddle between them are one. Nothing is drawn at random.

    Args:
        image: `(3, H, W)` in `[-1, 1]`.
        yardstick: from `yardstick_for`; by default made for this image alone.

    Returns:
        The nuclei; none if nothing is dark or nuclei are too small to be told apart (radius below 2 px).

    Raises:
        InputError: if the image is not RGB.
    """
    yardstick = yardstick or yardstick_for([image], "h&e")
    check(yardstick.kind == "h&e", "yardstick", "be for H&E", yardstick.kind, 'use `kind="h&e"`')
    (x,) = checked([image])
    h = separate_stains(x[None])[0, 0].double().numpy()
    zoom = 1 if yardstick.radius >= FINE else 2
    if not yardstick.radius >= RESOLVED:
        return described(np.zeros([zoom * side for side in h.shape], dtype=np.int32), zoom)
    fine = enlarged(h, zoom) * yardstick.strength
    return described(parted(fine, yardstick.nuclear, zoom * yardstick.radius), zoom)


def enlarged(h: np.ndarray, zoom: int) -> np.ndarray:
    """`h` with `zoom` times as many pixels a side, by cubic splines."""
    return h if zoom == 1 else ndimage.zoom(h, zoom, order=3, mode="reflect", grid_mode=True)


def parted(h: np.ndarray, threshold: float, radius: float) -> np.ndarray:
    """Labels of nuclei of typical `radius` in haematoxylin densities `h`, both in the same pixels."""
    h = ndimage.gaussian_filter(h, 0.06 * radius, mode="reflect")
    inside = h > np.maximum(ndimage.gaussian_filter(h, 1.5 * radius, mode="reflect") + ABOVE, FLOOR * threshold)
    inside = ndimage.binary_opening(ndimage.binary_fill_holes(inside), ndimage.generate_binary_structure(2, 1))
    if not inside.any():
        return np.zeros(h.shape, dtype=np.int32)
    height = landscape(h, inside, radius)
    peaks = height - reconstruction(height - SADDLE, height) >= SADDLE - 1e-9
    seeds, _ = ndimage.label(peaks & inside, np.ones((3, 3)))
    labels = watershed(-height, seeds, mask=inside)
    area = np.bincount(labels.ravel())
    keep = area >= SMALLEST * np.pi * radius**2
    keep[0] = False
    return (np.cumsum(keep) * keep)[labels].astype(np.int32)


def landscape(h: np.ndarray, inside: np.ndarray, radius: float) -> np.ndarray:
    """Hills with a peak in the middle of each nucleus, in units of their standard deviations."""
    far = ndimage.distance_transform_edt(inside)
    answers = []
    for share in SCALES:
        answer = blobs(h, share * radius / np.sqrt(2))
        answers.append(answer if share == SCALES[0] else np.where(share * radius <= far + 0.5, answer, -np.inf))
    hills = np.max(answers, 0)
    hills = hills / max(hills[inside].std(), 1e-6) + 0.8 * far / max(far[inside].std(), 1e-6)
    hills = ndimage.gaussian_filter(hills, 0.15 * radius, mode="reflect")
    return np.where(inside, hills, hills[inside].min() - 1)


def described(labels: np.ndarray, zoom: int) -> Nuclei:
    """Area, eccentricity and contact with the border of labelled nuclei."""
    rows, columns = np.nonzero(labels)
    at, count = labels[rows, columns] - 1, int(labels.max(initial=0))
    area = np.bincount(at, minlength=count).astype(np.float64)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(at, values, minlength=count) / area

    down, right = rows - mean(rows)[at], columns - mean(columns)[at]
    a, b, c = mean(down**2), mean(right**2), mean(down * right)
    half, apart = (a + b) / 2, np.hypot((a - b) / 2, c)
    eccentricity = np.sqrt(1 - np.maximum(half - apart, 0) / np.maximum(half + apart, 1e-9))
    height, width = labels.shape
    outer = (rows == 0) | (columns == 0) | (rows == height - 1) | (columns == width - 1)
    return Nuclei(labels, zoom, area / zoom**2, eccentricity, np.bincount(at, outer, minlength=count) > 0)
