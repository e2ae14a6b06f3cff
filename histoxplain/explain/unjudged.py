"""A generator without a classifier: what stands for the bundle, where a search expects one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from histoxplain.models import Bundle

if TYPE_CHECKING:
    from histoxplain.models import Generator


class Unjudged(nn.Module):
    """Stands where a bundle's classifier does, for a generator that comes without one: it has no opinion.

    Args:
        class_names: K names.
        eyes: a network that looks at images, whose feature maps count as what this classifier sees; None sees nothing.

    Example:
        >>> import torch
        >>> Unjudged(("benign", "malignant")).probabilities(torch.zeros(1, 3, 8, 8)).tolist()
        [[0.5, 0.5]]
    """

    def __init__(self, class_names: tuple[str, ...], eyes: nn.Module | None = None) -> None:
        super().__init__()
        self.class_names, self.eyes = class_names, eyes

    def forward(self, x: Tensor) -> Tensor:
        """Images `(N, C, H, W)` to logits `(N, K)`, all 0."""
        if self.eyes is not None:
            self.eyes(x)
        return x.new_zeros(len(x), len(self.class_names))

    def probabilities(self, x: Tensor) -> Tensor:
        """`(N, K)`, all equal."""
        return self(x).softmax(1)


def as_bundle(
    generator: Generator, eyes: nn.Module | None = None, name: str = "generator", path: str | Path = "."
) -> Bundle:
    """A generator as a bundle without judge, for whatever takes a bundle but can do without the classifier's opinion.

    Args:
        generator: as `load_generator` gives it; classes without names are called "0", "1", ...
        eyes: see `Unjudged`.
        name: of the bundle.
        path: where the generator comes from.
    """
    names = tuple(generator.class_names) or tuple(map(str, range(max(generator.c_dim, 1))))
    return Bundle(
        name=name,
        generator=generator,
        classifier=Unjudged(names, eyes),
        oracle=None,
        encoder=None,
        class_names=names,
        resolution=generator.img_resolution,
        card="",
        path=Path(path),
    )
