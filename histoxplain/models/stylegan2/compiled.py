"""The generator's own layers through `torch.compile`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain._checks import InputError
from histoxplain.models.stylegan2.plain import PlainLayers
from histoxplain.ops._toolchain import BuildError, host_compiler

if TYPE_CHECKING:
    from histoxplain.models.stylegan2.generator import Generator

VARIANTS = 256
"""Shapes that one layer's code may be compiled for: layers of a kind share it, and so do batches."""


def _many_variants() -> AbstractContextManager[None]:
    from torch._dynamo import config  # slow to import

    return config.patch(recompile_limit=VARIANTS, accumulated_recompile_limit=VARIANTS)


def check_compiler(device: torch.device) -> None:
    """Raise unless `torch.compile` has what it needs for a device.

    Raises:
        InputError: if there is no C++ compiler for the CPU, or no Triton for a GPU.
    """
    try:
        host_compiler()
    except BuildError as error:
        raise InputError(f"`compile` must be False here: {error}.") from error
    if device.type == "cuda" and not torch.utils._triton.has_triton():
        raise InputError("`compile` must be False here: there is no Triton; install triton.")


class CompiledLayers(PlainLayers):
    """Compiles each layer when it first runs, and again for another batch size."""

    def __init__(self, generator: Generator, dtype: torch.dtype, keep: bool) -> None:
        super().__init__(generator, dtype, keep)
        self.placed = {
            name: (block, torch.compile(layer, dynamic=False)) for name, (block, layer) in self.placed.items()
        }

    def features(
        self, name: str, x: Tensor | None, style: Tensor, noise_mode: str, rng: torch.Generator | None
    ) -> Tensor:
        """See `PlainLayers.features`."""
        with _many_variants():
            return super().features(name, x, style, noise_mode, rng)

    def colours(self, name: str, x: Tensor, style: Tensor, below: Tensor | None) -> Tensor:
        """See `PlainLayers.colours`."""
        with _many_variants():
            return super().colours(name, x, style, below)
