"""The generator's layers as native kernels of the CPU: its own weights, and one pass over memory a layer."""

from __future__ import annotations

from collections import OrderedDict
from math import prod, sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain._device import cpu_has_fast_bfloat16
from histoxplain.models.stylegan2.plain import PlainLayers
from histoxplain.ops import packed

if TYPE_CHECKING:
    from histoxplain.models.stylegan2.generator import Generator


def tile_side(resolution: int, up: int) -> int:
    """The `tile` of `packed.synthesis_layer` that is fastest: smaller images are less work than larger kernels.

    Example:
        >>> tile_side(256, up=1), tile_side(8, up=1)
        (4, 2)
    """
    return 4 if resolution >= 16 * up else 2


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
        layers = {name: layer for name, (_, layer) in self.placed.items()}
        self.taps = packed.separate(self.resample_filter) * 2
        self.weights = {name: layer.weight.detach().float().contiguous() for name, layer in layers.items()}
        self.biases = {name: packed.fill(layer.bias) for name, layer in layers.items()}
        self.clamps = {name: -1 if layer.clamp is None else layer.clamp for name, layer in layers.items()}
        affines = [layer.affine for layer in layers.values()]
        self.affines = [affine.weight.detach().float().contiguous() for affine in affines]
        self.offsets = [affine.bias.detach().float() * affine.bias_gain for affine in affines]
        self.affine_gain = affines[0].weight_gain
        self.latents = generator.synthesis.latents()
        self.noises = {name: layer.noise(1, "const", None) for name, layer in layers.items() if hasattr(layer, "noise")}
        self.places: dict[str, Tensor] = {}
        self.roomy: set[tuple[str, int, int]] = set()
        self.workspace = torch.empty(0, dtype=dtype)

    def styles(self, ws: Tensor) -> OrderedDict[str, Tensor]:
        """See `PlainLayers.styles`."""
        self.generator.synthesis.check_ws(ws)
        rows = packed.affine_maps(ws, self.latents, self.affines, self.offsets, self.affine_gain)
        return OrderedDict(zip(self.names, rows.split(list(self.widths.values()), 1), strict=True))

    def features(
        self, name: str, x: Tensor | None, style: Tensor, noise_mode: str, rng: torch.Generator | None
    ) -> Tensor:
        """See `PlainLayers.features`."""
        block, layer = self.placed[name]
        count, side = len(style), block.resolution
        if x is None:
            x = packed.bordered(block.const[None].expand(count, -1, -1, -1), self.dtype)
        noise = self.noises[name] if noise_mode == "const" else layer.noise(count, noise_mode, rng)
        noise = None if noise is None else noise.view(-1, side, side)
        finish = (
            noise,
            self.biases[name],
            self.taps if layer.up == 2 else None,
            tile_side(side, layer.up),
            0.2,
            sqrt(2),
            self.clamps[name],
        )
        if len(self.places.get(name, ())) != count:
            self._find_places(count)
        self._grow_workspace(name, x, layer.up)
        packed.synthesis_layer(x, self.weights[name], packed.fill(style), *finish, self.workspace, self.places[name])
        return self.places[name]

    def _find_places(self, count: int) -> None:
        """Where each layer writes: memory of its own, or the one of two buffers that it does not read."""
        sides = {name: self.placed[name][0].resolution + 2 for name in self.noises}
        shapes = {name: (count, side, side, len(self.biases[name])) for name, side in sides.items()}
        if self.keep:
            self.places = self.outputs = {name: torch.empty(shape, dtype=self.dtype) for name, shape in shapes.items()}
        else:
            sizes = [prod(shape) for shape in shapes.values()]
            turns = [torch.empty(max(sizes[i::2], default=0), dtype=self.dtype) for i in range(2)]
            self.places = {name: turns[i % 2][: sizes[i]].view(shapes[name]) for i, name in enumerate(shapes)}

    def _grow_workspace(self, name: str, x: Tensor, up: int) -> None:
        case = (name, len(x), torch.get_num_threads())
        if case not in self.roomy:
            self.roomy.add(case)
            size = packed.room(x, self.weights[name], up, tile_side(self.placed[name][0].resolution, up))
            self.workspace = max(self.workspace, torch.empty(size, dtype=self.dtype), key=len)

    def colours(self, name: str, x: Tensor, style: Tensor, below: Tensor | None) -> Tensor:
        """See `PlainLayers.colours`."""
        block, layer = self.placed[name]
        weight = self.weights[name]
        image = torch.empty(len(style), len(weight), block.resolution, block.resolution)
        style = packed.fill(style * layer.weight_gain)
        packed.synthesis_rgb(x, weight, style, self.biases[name], below, self.taps, self.clamps[name], image)
        return image

    def shifted(self, x: Tensor, detail: Tensor) -> Tensor:
        """See `PlainLayers.shifted`."""
        moved = x.clone()
        moved[:, 1:-1, 1:-1, : detail.shape[1]] += detail.to(x.dtype).permute(0, 2, 3, 1)
        return moved
