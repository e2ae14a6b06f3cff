"""What a classifier sees on the way to its opinion: feature maps, as a measure of likeness that needs no download."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

SMALLEST = 4
"""Side of the smallest map that counts, in places."""
Place = tuple[nn.Module, int]
"""A module, and which of its runs within one forward pass."""


class Taps:
    """Feature maps caught while a classifier runs, one for each spatial size: the last one that it makes of that size.

    A module that is run several times gives a map each time.

    Args:
        classifier: any network of images; one without convolutions has no taps.
        x: an image batch to find the maps with, `(N, C, H, W)`.
    """

    def __init__(self, classifier: nn.Module, x: Tensor) -> None:
        self.classifier = classifier
        self.modules = [part for part in classifier.modules() if part is not classifier]
        self.places: list[Place] = []
        self.maps: dict[Place, Tensor] = {}
        seen: dict[int, Place] = {}
        with self.open(), torch.no_grad():
            classifier(x[:1])
            for place, output in self.maps.items():
                if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-1] >= SMALLEST:
                    seen[output.shape[-1]] = place
        self.places = list(seen.values())
        self.modules = list(dict.fromkeys(module for module, _ in self.places))

    @contextmanager
    def open(self) -> Iterator[Taps]:
        """Catch maps within the block."""
        runs: Counter[nn.Module] = Counter()

        def begin(*_: object) -> None:
            runs.clear()
            self.maps.clear()

        def keep(module: nn.Module, _: object, output: Tensor) -> None:
            self.maps[module, runs[module]] = output
            runs[module] += 1

        hooks = [self.classifier.register_forward_pre_hook(begin)]
        hooks += [module.register_forward_hook(keep) for module in self.modules]
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()
            self.maps.clear()

    def features(self) -> list[Tensor]:
        """The maps of the last forward pass, each scaled to unit length over its channels: `(N, C_i, H_i, W_i)`."""
        maps = (self.maps[place].float() for place in self.places)
        return [m / (m.square().sum(1, keepdim=True) + 1e-6).sqrt() for m in maps]


def feature_distance(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Mean squared difference of unit feature vectors, averaged over places and maps: `(N,)`, from 0 to 4.

    Example:
        >>> one, two = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
        >>> feature_distance([one.reshape(1, 2, 1, 1)], [two.reshape(1, 2, 1, 1)]).item()
        2.0
    """
    parts = [(x - y).square().sum(1).mean((1, 2)) for x, y in zip(a, b)]
    return torch.stack(parts).mean(0) if parts else torch.zeros(())
