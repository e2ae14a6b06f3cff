"""What an attribution method is given, and the door to the libraries that do the work."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from histoxplain._optional import require
from histoxplain.explain.attribution.layers import Layer
from histoxplain.explain.attribution.scores import Scores

EXTRA = "attributions"


@dataclass(eq=False)
class Task:
    """What a method is given: images of one size, and what to ask about them."""

    scores: Scores
    x: Tensor
    """`(N, C, H, W)` in `[-1, 1]`."""
    targets: Tensor
    """`(N,)`."""
    baseline: Tensor
    """What hidden parts look like, of the shape of `x`."""
    layers: list[Layer]
    batch_size: int
    seed: int
    notes: list[dict[str, Any]] = field(default_factory=list)
    """What was measured on the way, one dictionary an image."""

    @property
    def side(self) -> int:
        """The shorter side of the images."""
        return min(self.x.shape[-2:])


def captum(name: str) -> Any:
    """A class of `captum.attr`.

    Raises:
        ImportError: if captum is not installed.
    """
    return getattr(require("captum.attr", EXTRA), name)


def torchcam(name: str) -> Any:
    """A class of `torchcam.methods`.

    Raises:
        ImportError: if torchcam is not installed.
    """
    return getattr(require("torchcam.methods", EXTRA), name)
