"""A place in the latent space, and what is seen from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Place:
    """Where the sliders stand.

    Attributes:
        point: the latent on the map whose noise is used; it decides the arrangement of the tissue.
        mix: how much of each class, one share a class. What is missing to 1 is shared equally among all classes; shares
            that add up to more are scaled down.
        truncation: psi; 0 is the average image, 1 the full variety of the training images.
        steps: how far along each direction, in standard deviations of the latent space.
        channels: single style channels that are moved: layer, channel, and by how many of its standard deviations.
        image: the number of an opened image to stand at; `point`, `mix` and `truncation` do not matter then. None is
            the point of the map.
    """

    point: int
    mix: tuple[float, ...]
    truncation: float = 1.0
    steps: tuple[float, ...] = ()
    channels: tuple[tuple[str, int, float], ...] = ()
    image: int | None = None


@dataclass(frozen=True, eq=False)
class Sight:
    """What is seen from a place.

    Attributes:
        image: (C, H, W) in [-1, 1], 8-bit exact.
        probabilities: the classifier's, (K,).
        w: where it lies, (w_dim,).
        low: least probability that any opinion gives, (K,); see `ExploreSession.interval`. None where not asked.
        high: the highest, (K,).
    """

    image: Tensor
    probabilities: Tensor
    w: Tensor
    low: Tensor | None = None
    high: Tensor | None = None
