"""Psi: from a classifier's maps to concept maps, and to what concepts leave out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain.models.viscoin.config import POOLED, ConceptConfig

SLOPE = 0.2
EDGES = "replicate"
UNUSUAL = 1.0
"""A concept is there where it is read this many standard deviations above what is usual at that place: none can die
out, and none can be at the same place in every image."""
MOMENTUM = 0.05
"""How much of what is usual at a place each batch renews."""


class Extractor(nn.Module):
    """Maps of a classifier's stages to concept maps `(N, K, g, g)`, at least 0, and to Phi' `(N, 9 K)`.

    Every stage is brought to the grid by a convolution (3x3, or as large as its stride asks for) or, where it is
    smaller, by interpolation; a 3x3 convolution mixes them, a 1x1 convolution reads the concepts. Edges are
    continued, not filled with zeros, and what is usual at a place is subtracted there: where something is must not be
    what a concept says. Channels of a stage are standardised by figures that `calibrate` measures once.
    """

    def __init__(self, config: ConceptConfig) -> None:
        super().__init__()
        self.config = config
        self.looks = nn.ModuleList()
        for i, ((_, channels), side) in enumerate(zip(config.stages, config.sides)):
            stride = max(side // config.grid, 1)
            kernel = 3 if stride < 3 else stride + 1 - stride % 2
            self.looks.append(nn.Conv2d(channels, config.width, kernel, stride, kernel // 2, padding_mode=EDGES))
            self.register_buffer(f"mean{i}", torch.zeros(channels, 1, 1))
            self.register_buffer(f"scale{i}", torch.ones(channels, 1, 1))
        wide = config.width * len(config.stages)
        self.mix = nn.Conv2d(wide, wide, 3, padding=1, padding_mode=EDGES)
        self.read = nn.Conv2d(wide, config.concepts, 1, bias=False)
        self.register_buffer("place_mean", torch.zeros(config.concepts, config.grid, config.grid))
        self.register_buffer("place_scale", torch.ones(config.concepts, config.grid, config.grid))
        self.usual = nn.BatchNorm2d(config.concepts, affine=False, momentum=0.05)
        if config.support == "features":
            beside = POOLED**2 * config.concepts
            self.rest = nn.Sequential(
                nn.Linear(POOLED**2 * wide, beside), nn.LeakyReLU(SLOPE), nn.Linear(beside, beside)
            )

    @torch.no_grad()
    def calibrate(self, maps: Sequence[Tensor]) -> None:
        """Measure mean and deviation of every channel on maps of some images, and what is usual at every place."""
        for i, x in enumerate(maps):
            self.get_buffer(f"mean{i}").copy_(x.float().mean((0, 2, 3))[:, None, None])
            self.get_buffer(f"scale{i}").copy_(1 / (x.float().std((0, 2, 3)) + 1e-4)[:, None, None])
        self.settle([maps])

    @torch.no_grad()
    def settle(self, batches: Iterable[Sequence[Tensor]]) -> None:
        """Measure what is usual at every place, anew, on maps of several images, a batch at a time.

        Averaged weights need it: what a training saw of its current ones is not what these read.
        """
        readings = torch.cat([self.read(self._mixed(maps)).float() for maps in batches])
        self.place_mean.copy_(readings.mean(0))
        self.place_scale.copy_(readings.std(0).clamp_min(1e-6))
        self.usual.reset_running_stats()

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Concept maps, and Phi' where the support is read from features."""
        x = self._mixed(maps)
        readings = self.read(x).float()
        concepts = F.relu(self.usual((readings - self.place_mean) / self.place_scale) - UNUSUAL)
        if self.training:
            self._renew(readings.detach())
        if self.config.support != "features":
            return concepts, None
        return concepts, self.rest(F.adaptive_avg_pool2d(x, POOLED).flatten(1))

    def _renew(self, readings: Tensor) -> None:
        """What is usual at a place follows the training; no gradient knows of it."""
        apart = (readings - self.place_mean).square().mean(0).sqrt().clamp_min(1e-6)
        self.place_mean = self.place_mean.lerp(readings.mean(0), MOMENTUM)
        self.place_scale = self.place_scale.lerp(apart, MOMENTUM)

    def _mixed(self, maps: Sequence[Tensor]) -> Tensor:
        seen = []
        for i, (look, x) in enumerate(zip(self.looks, maps)):
            x = look((x.float() - self.get_buffer(f"mean{i}")) * self.get_buffer(f"scale{i}"))
            seen.append(self._on_grid(F.leaky_relu(x, SLOPE)))
        return F.leaky_relu(self.mix(torch.cat(seen, 1)), SLOPE)

    def _on_grid(self, x: Tensor) -> Tensor:
        side = (self.config.grid,) * 2
        if x.shape[2] == x.shape[3] == side[0]:
            return x
        if x.shape[2] > side[0]:
            return F.adaptive_avg_pool2d(x, side)
        return F.interpolate(x, size=side, mode="bilinear", align_corners=False)
