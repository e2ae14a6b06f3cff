"""What a classifier sees on the way to its opinion: feature maps, as a measure of likeness that needs no download."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

SMALLEST = 4


class Taps:
    """Feature maps caught while a classifier runs, one for each spatial size.

    Args:
        classifier: any network of images; one without convolutions has no taps.
        x: an image batch to find the maps with, `(N, C, H, W)`.
    """

    def __init__(self, classifier: nn.Module, x: Tensor) -> None:
        seen: dict[int, nn.Module] = {}

        def note(module: nn.Module, _: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-1] >= SMALLEST:
                seen[output.shape[-1]] = module

        hooks = [part.register_forward_hook(note) for part in classifier.modules() if part is not classifier]
        try:
            with torch.no_grad():
                classifier(x[:1])
        finally:
            for hook in hooks:
                hook.remove()
        self.modules = list(dict.fromkeys(seen.values()))
        self.maps: dict[nn.Module, Tensor] = {}

    @contextmanager
    def open(self) -> Iterator[Taps]:
        """Catch maps within the block."""

        def keep(module: nn.Module, _: object, output: Tensor) -> None:
            self.maps[module] = output

        hooks = [module.register_forward_hook(keep) for module in self.modules]
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()
            self.maps.clear()

    def features(self) -> list[Tensor]:
        """The maps of the last forward pass, each scaled to unit length over its channels: `(N, C_i, H_i, W_i)`."""
        maps = (self.maps[module].float() for module in self.modules)
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
