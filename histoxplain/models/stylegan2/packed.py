"""The generator's layers as native kernels of the CPU: its own weights, and one pass over memory a layer."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain._device import cpu_has_fast_bfloat16
from histoxplain.models.stylegan2.plain import PlainLayers
from histoxplain.ops import packed

if TYPE_CHECKING:
    from histoxplain.models.stylegan2.generator import Generator


def tile_side(resolution: int, dtype: torch.dtype) -> int:
    """The `tile` of `packed.synthesis_layer` that is fastest: 4, which loses three bits, for float32 alone.

    Example:
        >>> tile_side(256, torch.float32), tile_side(8, torch.float32), tile_side(256, torch.bfloat16)
        (4, 2, 2)
    """
    return 4 if dtype == torch.float32 and resolution >= 16 else 2


class PackedLayers(PlainLayers):
    """Runs `ops.packed`; features lie as `(N, r + 2, r + 2, channels)` in a border of zeros."""

    @staticmethod
    def can_run(generator: Generator, dtype: torch.dtype) -> bool:
        """Whether the kernels are there, and are made for this network."""
        synthesis = generator.synthesis
        fits = dtype == torch.float32 or (dtype == torch.bfloat16 and cpu_has_fast_bfloat16())
        plain = generator.config.architecture != "resnet" and synthesis.blocks[0].const.device.type == "cpu"
        return fits and plain and packed.separate(synthesis.blocks[0].resample_filter) is not None and packed.load()

    @torch.no_grad()
    def __init__(self, generator: Generator, dtype: torch.dtype, keep: bool) -> None:
        super().__init__(generator, dtype, keep)
        self.taps = packed.separate(self.resample_filter) * 2
        self.weights = {name: self._placed(name)[1].weight.detach().float().contiguous() for name in self.names}
        self.biases = {name: packed.fill(self._placed(name)[1].bias) for name in self.names}
        self.workspace = torch.empty(0, dtype=dtype)
        self.turns = [torch.empty(0, dtype=dtype)] * 2

    def features(
        self, name: str, x: Tensor | None, style: Tensor, noise_mode: str, rng: torch.Generator | None
    ) -> Tensor:
        """See `PlainLayers.features`."""
        block, layer = self._placed(name)
        weight = self.weights[name]
        if x is None:
            x = packed.bordered(block.const[None].expand(len(style), -1, -1, -1), self.dtype)
        out = self._output(name, len(style))
        noise = layer.noise(len(style), noise_mode, rng)
        noise = None if noise is None else noise.reshape(-1, layer.resolution, layer.resolution)
        finish = {"alpha": 0.2, "gain": sqrt(2), "clamp": -1 if layer.clamp is None else layer.clamp}
        tile = tile_side(layer.resolution, self.dtype)
        self._grow(packed.room(x, weight, layer.up, tile))
        packed.synthesis_layer(
            x,
            weight,
            packed.fill(style),
            noise,
            self.biases[name],
            self.taps if layer.up == 2 else None,
            tile,
            workspace=self.workspace,
            out=out,
            **finish,
        )
        return out

    def _output(self, name: str, batch: int) -> Tensor:
        """Where a layer writes: what it keeps, or the one of two buffers that it does not read."""
        shape = self._shape(name, batch)
        if self.keep:
            if name not in self.outputs or self.outputs[name].shape != shape:
                self.outputs[name] = torch.empty(shape, dtype=self.dtype)
            return self.outputs[name]
        largest = max(self._shape(other, batch).numel() for other in self.names if not other.endswith("torgb"))
        if len(self.turns[0]) < largest:
            self.turns = [torch.empty(largest, dtype=self.dtype) for _ in self.turns]
        self.turns.reverse()
        return self.turns[0][: shape.numel()].view(shape)

    def _shape(self, name: str, batch: int) -> torch.Size:
        side = self._placed(name)[1].resolution + 2
        return torch.Size((batch, side, side, len(self.biases[name])))

    def colours(self, name: str, x: Tensor, style: Tensor, below: Tensor | None) -> Tensor:
        """See `PlainLayers.colours`."""
        block, layer = self._placed(name)
        image = torch.empty(len(style), len(layer.bias), block.resolution, block.resolution)
        style = packed.fill(style * layer.weight_gain)
        clamp = -1 if layer.clamp is None else layer.clamp
        packed.synthesis_rgb(x, self.weights[name], style, self.biases[name], below, clamp, image)
        return image

    def shifted(self, x: Tensor, detail: Tensor) -> Tensor:
        """See `PlainLayers.shifted`."""
        moved = x.clone()
        moved[:, 1:-1, 1:-1, : detail.shape[1]] += detail.to(x.dtype).permute(0, 2, 3, 1)
        return moved

    def _grow(self, size: int) -> None:
        if len(self.workspace) < size:
            self.workspace = torch.empty(size, dtype=self.dtype)
