"""One yardstick for images that are compared: what counts as nucleus and as white, and how large nuclei are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from skimage.filters import threshold_otsu
from torch import Tensor

from histoxplain._checks import check, check_at_least, check_images, check_one_of
from histoxplain.data.stain import optical_density, separate_stains

KINDS = ("auto", "h&e", "generic")
SMALLEST_SIDE = 16
NUCLEAR = (0.12, 0.45)
"""Haematoxylin density between which Otsu's threshold of nuclei may lie: paler is plasm, darker always a nucleus."""
GLASS, TISSUE = 0.08, 0.04
"""Glass of a scanned slide has a mean density of at most 0.08, and tissue holds at least 0.04 more."""
COLOURFUL = 0.02
"""Mean distance between the densities of red, green and blue above which an image is not grey."""


@dataclass(frozen=True)
class Yardstick:
    """The rules by which images are measured. Images measured by different rules cannot be compared."""

    kind: str
    """"h&e" or "generic"."""
    nuclear: float = math.nan
    """Haematoxylin density above which a pixel looks like a nucleus."""
    radius: float = math.nan
    """Typical radius of nuclei in pixels; NaN where there are none."""
    white: float = math.nan
    """Mean density below which a pixel is glass or lumen."""

    strength: float = 1.0
    """What haematoxylin is multiplied by before nuclei are looked for."""

    def stained(self, strength: float) -> Yardstick:
        """The same rules as if nuclei were stained stronger (above 1) or weaker."""
        return replace(self, strength=strength)


def checked(images: Sequence[Tensor]) -> list[Tensor]:
    """Images `(C, H, W)` as float32 on the CPU, after a look at their shapes and values."""
    check(len(images) > 0, "images", "hold at least one", "none")
    for x in images:
        check(x.ndim == 3, "image", "have shape (C, H, W)", tuple(x.shape), "take one of a batch with `images[0]`")
        check_images("image", x[None])
        check(x.shape[0] in (1, 3), "image", "be grey or RGB", tuple(x.shape))
        check_at_least("shorter side", min(x.shape[1:]), SMALLEST_SIDE)
        check(bool(torch.isfinite(x).all()), "image", "hold finite numbers only", "NaN or infinity")
    return [x.detach().float().cpu().clamp(-1, 1) for x in images]


def kind_of(image: Tensor) -> str:
    """Whether an image looks like tissue in haematoxylin and eosin.

    Both stains absorb green most. An image is taken for H&E if it is coloured and, where it is not white, lets less
    green pass than red and blue.

    Args:
        image: `(C, H, W)` in `[-1, 1]`.

    Returns:
        "h&e" or "generic".

    Example:
        >>> pink = torch.tensor([0.9, 0.2, 0.7])[:, None, None].expand(3, 16, 16)
        >>> kind_of(pink), kind_of(pink.mean(0, keepdim=True)), kind_of(pink.flip(0).roll(1, 0))
        ('h&e', 'generic', 'generic')
    """
    (x,) = checked([image])
    if len(x) != 3:
        return "generic"
    density = optical_density(x)
    tissue = density.mean(0) > TISSUE
    if not tissue.any():
        return "generic"
    red, green, blue = density[:, tissue].mean(1).tolist()
    coloured = float((density.amax(0) - density.amin(0))[tissue].mean()) > COLOURFUL
    return "h&e" if coloured and green > red and green > blue else "generic"


def yardstick_for(images: Sequence[Tensor], kind: str = "auto", diameter: float | None = None) -> Yardstick:
    """One yardstick for images that will be compared, from all of them together.

    The threshold of nuclei is Otsu's (*A threshold selection method from gray-level histograms*, IEEE Trans SMC 9,
    1979) over all images, kept within `NUCLEAR`. Their typical radius is the scale at which the dark parts answer
    most to the normalised Laplacian (Lindeberg, *Feature detection with automatic scale selection*, IJCV 30, 1998).

    Args:
        images: each `(C, H, W)` in `[-1, 1]`.
        kind: "h&e", "generic", or "auto": what `kind_of` says of the first image.
        diameter: of typical nuclei in pixels, if it is known.

    Raises:
        InputError: if an image cannot be measured, or `kind` asks for H&E of grey images.
    """
    check_one_of("kind", kind, KINDS)
    images = checked(images)
    kind = kind_of(images[0]) if kind == "auto" else kind
    if kind == "generic":
        return Yardstick(kind)
    check(all(len(x) == 3 for x in images), "image", "be RGB to hold stains", "a grey one", 'use `kind="generic"`')
    stains = [separate_stains(x[None])[0, 0].numpy() for x in images]
    density = [optical_density(x).mean(0).numpy() for x in images]
    nuclear, white = otsu(stains, *NUCLEAR), glass(density) + TISSUE
    if diameter is not None:
        check(0 < diameter < math.inf, "diameter", "be a positive number of pixels", diameter)
    return Yardstick(kind, nuclear, diameter / 2 if diameter else typical_radius(stains, nuclear), white)


def otsu(values: Sequence[np.ndarray], low: float, high: float) -> float:
    """Otsu's threshold of all values together, kept within `low` and `high`."""
    together = np.concatenate([v.ravel() for v in values])
    if together.min() == together.max():
        return low
    return float(np.clip(threshold_otsu(together), low, high))


def glass(density: Sequence[np.ndarray]) -> float:
    """Mean density of the lightest hundredth of all pixels together, at most `GLASS`: many slides have no white."""
    together = np.concatenate([d.ravel() for d in density])
    return float(min(np.quantile(together, 0.01), GLASS))


def typical_radius(stains: Sequence[np.ndarray], threshold: float) -> float:
    """Radius in pixels at which dark blobs answer most to the Laplacian; NaN where nothing is dark.

    Example:
        >>> y, x = np.mgrid[:64, :64]
        >>> disc = 0.5 * ((x - 32) ** 2 + (y - 32) ** 2 < 6**2)
        >>> 5 < typical_radius([disc], 0.2) < 7
        True
    """
    dark = [h > threshold for h in stains]
    if not any(d.any() for d in dark):
        return math.nan
    widest = min(max(min(stains[0].shape) / 16, 2.0), 16.0)
    sigmas = np.geomspace(0.8, widest, 14)
    answers = [[blobs(h, s)[d].clip(0).sum() for h, d in zip(stains, dark)] for s in sigmas]
    return float(np.sqrt(2) * sigmas[np.sum(answers, 1).argmax()])


def blobs(h: np.ndarray, sigma: float) -> np.ndarray:
    """Scale-normalised Laplacian, positive in bright blobs of radius `sqrt(2) * sigma`."""
    return -ndimage.gaussian_laplace(h.astype(np.float64), sigma, mode="reflect") * sigma**2
