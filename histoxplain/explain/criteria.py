"""What "the smallest change" means: criteria that a search can be asked to minimise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain.explain.invert import pixel_distance
from histoxplain.explain.taps import Taps, feature_distance

if TYPE_CHECKING:
    from histoxplain.explain.spaces import Space
    from histoxplain.models import Bundle

CRITERIA = ("l1", "perceptual", "coordinates", "latent")


class Criterion:
    """How large changes are, by one of `CRITERIA`.

    "l1": mean absolute difference of the images, over several scales, in parts of the full range (`pixel_distance`).
    "perceptual": difference of the classifier's feature maps (`feature_distance`); of a classifier without maps, "l1".
    "coordinates": how many parts of the latent take part, coordinates in StyleSpace and layers in W+; of equally many,
    those with the smaller "l1". "latent": root mean square of the step, in standard deviations.

    Args:
        name: one of `CRITERIA`.
        bundle: the networks.
        space: what the steps are in.
    """

    def __init__(self, name: str, bundle: Bundle, space: Space) -> None:
        self.name, self.bundle, self.space = name, bundle, space

    @torch.no_grad()
    def __call__(self, x: Tensor, originals: Tensor, steps: Tensor) -> Tensor:
        """Images, those they were changed from, both `(n, C, H, W)`, and the steps taken, `(n, P)`: costs, `(n,)`."""
        if self.name == "latent":
            return self.space.deviations(steps).square().mean(1).sqrt()
        if self.name == "perceptual" and len(x):
            return self._perceptual(x, originals)
        l1 = pixel_distance(x, originals)
        return l1 + self.space.parts(steps) if self.name == "coordinates" else l1

    def _perceptual(self, x: Tensor, originals: Tensor) -> Tensor:
        classifier = self.bundle.classifier
        taps = Taps(classifier, x)
        if not taps.modules:
            return pixel_distance(x, originals)
        with taps.open():
            classifier(originals)
            before = taps.features()
            classifier(x)
            return feature_distance(taps.features(), before)
