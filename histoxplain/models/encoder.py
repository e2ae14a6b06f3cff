"""The encoder: an image to the latent that draws it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from histoxplain._checks import check, check_images
from histoxplain._device import resolve_precision
from histoxplain.models.checkpoint import Checkpoint, save_checkpoint
from histoxplain.models.detail_encoder import DetailEncoder, DetailEncoderConfig
from histoxplain.models.loading import load_network
from histoxplain.models.stylegan2.config import EncoderConfig
from histoxplain.models.stylegan2.discriminator import DiscriminatorBlock
from histoxplain.models.stylegan2.layers import Convolution, FullyConnected

KIND = "encoder"


class Encoder(nn.Module):
    """Image to W or W+, trained beside a generator as in StylEx (Lang et al., 2021), `E(x) -> (N, num_ws, w_dim)`.

    Example:
        >>> E = Encoder(EncoderConfig(resolution=16, channel_base=128, channel_max=8, w_dim=4, num_ws=6))
        >>> E(torch.zeros(2, 3, 16, 16)).shape
        torch.Size([2, 6, 4])
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config, self.num_ws, self.w_dim = config, config.num_ws, config.w_dim
        self.img_resolution, self.img_channels = config.resolution, config.channels
        for resolution in config.resolutions[:0:-1]:
            self.add_module(f"b{resolution}", DiscriminatorBlock(config, resolution))
        width = config.width(4)
        self.conv = Convolution(width, width, 3, act="lrelu")
        if config.head == "norm":
            self.norm = nn.BatchNorm1d(width * 16)
        else:
            self.fc = FullyConnected(width * 16, 2 * width, "lrelu")
        self.out = FullyConnected(width * 16 if config.head == "norm" else 2 * width, config.codes * config.w_dim)

    @property
    def blocks(self) -> list[DiscriminatorBlock]:
        """Blocks from the full resolution down to 8x8."""
        return [self.get_submodule(f"b{resolution}") for resolution in self.config.resolutions[:0:-1]]

    def forward(self, x: Tensor) -> Tensor:
        """Images `(N, channels, R, R)` in [-1, 1] to latents `(N, num_ws, w_dim)`.

        Raises:
            InputError: on images of another size.
        """
        check_images("x", x, self.img_channels)
        side = self.img_resolution
        check(x.shape[2:] == (side, side), "x", f"be {side} x {side} pixels", tuple(x.shape))
        image, features = x.contiguous(memory_format=torch.channels_last), None
        for block in self.blocks:
            features, image = block(features, image)
        features = self.conv(features.float()).flatten(1)
        features = self.norm(features) if self.config.head == "norm" else self.fc(features)
        codes = self.out(features).unflatten(1, (self.config.codes, self.w_dim))
        return codes if self.config.codes == self.num_ws else codes.repeat(1, self.num_ws, 1)

    def set_precision(self, precision: str = "auto") -> Encoder:
        """Compute convolutions down to 8x8 in "float32", "bfloat16" or "auto"; returns self."""
        dtype = resolve_precision(precision, next(self.parameters()).device)
        for block in self.blocks:
            block.dtype = dtype
        return self


def save_encoder(path: str | Path, encoder: Encoder | DetailEncoder, meta: dict[str, Any] | None = None) -> None:
    """Write an encoder as safetensors."""
    save_checkpoint(path, encoder.state_dict(), kind=KIND, config=asdict(encoder.config), meta=meta)


def load_encoder(path: str | Path, device: str = "auto", precision: str = "auto") -> Encoder | DetailEncoder:
    """Read an encoder that was trained for or beside a generator, ours or HistoXplaining's; see `load_generator`."""
    return load_network(path, KIND, make_encoder, device, precision)


def make_encoder(found: Checkpoint) -> Encoder | DetailEncoder:
    """An encoder of the shape that a checkpoint describes, not yet with its weights."""
    if "detail_channels" in found.config:
        return DetailEncoder(DetailEncoderConfig(**found.config))
    return Encoder(EncoderConfig(**found.config))
