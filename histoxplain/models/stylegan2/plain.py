"""The generator's own layers, one at a time, for devices without packed kernels."""

from __future__ import annotations

from collections import OrderedDict
from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from histoxplain.ops import upsample2d

if TYPE_CHECKING:
    from histoxplain.models.stylegan2.generator import Generator, SynthesisBlock


class PlainLayers:
    """Runs the network's modules as they are; see `InteractiveGenerator`.

    Args:
        generator: whose layers these are.
        dtype: of the convolutions.
        keep: keep every layer's output.

    Attributes:
        names: of the layers that take styles, in order of use.
        widths: length of each one's style.
    """

    def __init__(self, generator: Generator, dtype: torch.dtype, keep: bool) -> None:
        blocks = generator.synthesis.blocks
        self.generator, self.dtype, self.keep = generator, dtype, keep
        self.placed: dict[str, tuple[SynthesisBlock, nn.Module]] = {
            f"b{block.resolution}.{layer}": (block, block.get_submodule(layer))
            for block in blocks
            for layer in block.layers
        }
        self.names = list(self.placed)
        self.widths = {name: layer.affine.weight.shape[0] for name, (_, layer) in self.placed.items()}
        self.resample_filter = blocks[0].resample_filter
        self.outputs: dict[str, Tensor] = {}
        self.entries: dict[int, Tensor] = {}

    def styles(self, ws: Tensor) -> OrderedDict[str, Tensor]:
        """`ws` `(N, num_ws, w_dim)` to StyleSpace."""
        return self.generator.styles(ws)

    def features(
        self, name: str, x: Tensor | None, style: Tensor, noise_mode: str, rng: torch.Generator | None
    ) -> Tensor:
        """Features of the layer before, None for the first, and a style `(N, width)` to features."""
        block, layer = self.placed[name]
        run = {"noise_mode": noise_mode, "generator": rng}
        if x is None:
            x = block.const[None].expand(len(style), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        x = x.to(torch.float32 if block.resolution == 4 else self.dtype)
        if block.architecture != "resnet" or block.resolution == 4:
            y = layer(x, style, **run)
        elif name.endswith("conv0"):
            self.entries[block.resolution if self.keep else 0] = x
            y = layer(x, style, **run)
        else:
            entry = self.entries[block.resolution if self.keep else 0]
            y = block.skip(entry, gain=sqrt(0.5)) + layer(x, style, gain=sqrt(0.5), **run)
        if self.keep:
            self.outputs[name] = y
        return y

    def colours(self, name: str, x: Tensor, style: Tensor, below: Tensor | None) -> Tensor:
        """Features and the image of half the size, if any, to the image `(N, img_channels, r, r)`, float32."""
        rgb = self.placed[name][1](x, style)
        return rgb if below is None else rgb + upsample2d(below, self.resample_filter)

    def shifted(self, x: Tensor, detail: Tensor) -> Tensor:
        """Features with an offset `(N, C, h, w)`, elsewhere in memory: those that were kept stay as they are."""
        return x + detail.to(x.dtype)

    def kept(self, name: str) -> Tensor:
        """The last output of a layer of features."""
        return self.outputs[name]
