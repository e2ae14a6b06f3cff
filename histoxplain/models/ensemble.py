"""A stacked ensemble: trunks side by side, whose pooled features one head learns to weigh."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from histoxplain._checks import check_at_least
from histoxplain.models.architectures import build_network, cut_head, normalisation

WIDTHS = (256, 128)
"""Widths of the head's hidden layers, as published."""
DROPOUT = 0.5


class StackedNetwork(nn.Module):
    """Pooled features of several trunks, concatenated, and a small head on top.

    With MobileNetV2 and DenseNet169, the published ensemble for pneumonia: 1,280 + 1,664 = 2,944 features; batch
    normalisation, 256 units, ReLU, dropout, batch normalisation, 128 units, ReLU, dropout, one logit a class.

    Args:
        trunks: architectures, by name.
        classes: outputs.
        resolution: side of the images, in pixels.
        pretrained: start trunks from ImageNet weights; None those whose weights are installed.

    Raises:
        InputError: if there are fewer than 2 trunks, or one has no fully connected layer to cut off.
    """

    def __init__(self, trunks: Sequence[str], classes: int, resolution: int, pretrained: bool | None = False) -> None:
        super().__init__()
        check_at_least("trunks", len(trunks), 2)
        self.names = tuple(trunks)
        self.frozen: frozenset[int] = frozenset()
        self.trunks = nn.ModuleList()
        self.widths = []
        for i, name in enumerate(trunks):
            network = build_network(name, classes, resolution, pretrained)
            self.widths.append(cut_head(network, name))
            self.trunks.append(network)
            for key, value in zip(("mean", "deviation"), normalisation(name)):
                self.register_buffer(f"{key}{i}", value, persistent=False)
        self.head = _head(self.width, classes)

    @property
    def width(self) -> int:
        """How many features the trunks give together."""
        return sum(self.widths)

    def features(self, x: Tensor) -> Tensor:
        """Pooled features `(N, width)` of images `(N, 3, R, R)` in `[-1, 1]`, trunk after trunk."""
        found = []
        for i, trunk in enumerate(self.trunks):
            found.append(trunk((x - self.get_buffer(f"mean{i}")) / self.get_buffer(f"deviation{i}")))
        return torch.cat(found, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(N, classes)` of images `(N, 3, R, R)` in `[-1, 1]`."""
        return self.head(self.features(x))

    def freeze(self, places: Iterable[int]) -> Self:
        """Let some trunks stay as they are while the rest is trained; their statistics stay as well."""
        self.frozen = frozenset(places)
        for i in self.frozen:
            self.trunks[i].requires_grad_(False)
        return self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Training mode, but for frozen trunks."""
        super().train(mode)
        for i in self.frozen:
            self.trunks[i].eval()
        return self


def _head(width: int, classes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for narrow in WIDTHS:
        layers += [nn.BatchNorm1d(width), nn.Linear(width, narrow), nn.ReLU(), nn.Dropout(DROPOUT)]
        width = narrow
    return nn.Sequential(*layers, nn.Linear(width, classes))
