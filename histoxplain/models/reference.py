"""What images of a bundle's own kind measure, to tell whether another image is of that kind; one small file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from histoxplain._checks import InputError, check
from histoxplain.models.checkpoint import load_checkpoint, save_checkpoint

KIND = "reference"
_TENSORS = ("means", "scale", "axes", "variances", "rest", "distances", "errors")
_FACTS = ("data", "images", "features", "inversion")


@dataclass(frozen=True, eq=False)
class Reference:
    """Statistics of images that a bundle's networks know, and of further ones that they never saw.

    The features of the first are summed up as one Gaussian a class with a covariance in common, of low rank and round
    beyond it; the others say how far from these, and how hard to redraw, images of that kind are. See
    `hx.explain.measure_reference`.
    """

    means: Tensor
    """Mean features of each class, `(K, D)`; of all images together where they have no labels, `(1, D)`."""
    scale: Tensor
    """Standard deviation of each feature about its class mean, `(D,)`; what follows is of features divided by it."""
    axes: Tensor
    """Principal axes of the features about their means, `(r, D)`, orthonormal rows."""
    variances: Tensor
    """Variance along each axis, `(r,)`."""
    rest: Tensor
    """Variance along every direction beyond the axes, `()`."""
    distances: Tensor
    """Mahalanobis distances of images that the Gaussians were not fitted to, `(n,)`, rising."""
    errors: Tensor
    """Reconstruction errors of such images, `(m,)`, rising, in parts of the full range; m may be 0."""
    data: str
    """What the images are: the name of the data and of its parts."""
    images: int
    """How many the Gaussians were fitted to."""
    features: str
    """The features' name."""
    inversion: str = ""
    """How the reconstructions were made."""

    def __repr__(self) -> str:
        counts = f"{self.images} images, {len(self.distances)} further ones, {len(self.errors)} redrawn"
        return f"Reference({self.data!r}: {counts})"


def save_reference(path: str | Path, reference: Reference) -> Path:
    """Write a reference as safetensors, the axes in half precision; the file appears whole or not at all."""
    tensors = {name: getattr(reference, name).float() for name in _TENSORS}
    tensors["axes"] = tensors["axes"].half()
    facts = {name: getattr(reference, name) for name in _FACTS}
    return save_checkpoint(path, tensors, kind=KIND, config={}, meta=facts)


def load_reference(path: str | Path) -> Reference:
    """Read what `save_reference` wrote.

    Raises:
        InputError: if the file is missing, damaged, incomplete or holds something else.
    """
    found = load_checkpoint(path, KIND)
    try:
        facts = {name: found.meta[name] for name in _FACTS}
        tensors = {name: found.state[name].float() for name in _TENSORS}
    except KeyError as error:
        raise InputError(f"`path` must be a whole reference, got {path} without {error}; measure it again.") from error
    fits = tensors["means"].shape[1:] == tensors["axes"].shape[1:] and len(tensors["axes"]) == len(tensors["variances"])
    check(fits, "path", "hold axes as wide as the means", path, "measure the reference again")
    check(all(bool(torch.isfinite(t).all()) for t in tensors.values()), "path", "hold finite numbers", path)
    return Reference(**tensors, **facts)
