"""The discriminator: how real an image looks, for a given label."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn

from histoxplain._checks import check, check_images
from histoxplain._device import resolve_precision
from histoxplain.models.stylegan2.config import DiscriminatorConfig
from histoxplain.models.stylegan2.generator import MappingNetwork
from histoxplain.models.stylegan2.layers import FIR, Convolution, FullyConnected, MinibatchStd
from histoxplain.ops import downsample2d, setup_filter


class DiscriminatorBlock(nn.Module):
    """Two convolutions, the second halving the resolution."""

    def __init__(self, config: DiscriminatorConfig, resolution: int) -> None:
        super().__init__()
        into, out = config.width(resolution), config.width(resolution // 2)
        layer = {"act": "lrelu", "clamp": config.conv_clamp}
        self.architecture, self.dtype = config.architecture, torch.float32
        if config.architecture == "skip" or resolution == config.resolution:
            self.fromrgb = Convolution(config.input_channels, into, 1, **layer)
        self.conv0 = Convolution(into, into, 3, **layer)
        self.conv1 = Convolution(into, out, 3, down=2, **layer)
        if config.architecture == "resnet":
            self.skip = Convolution(into, out, 1, bias=False, down=2)
        self.register_buffer("resample_filter", setup_filter(FIR), persistent=False)

    def forward(self, x: Tensor | None, image: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Features (None at the first block) and image to features and image at half the resolution."""
        if hasattr(self, "fromrgb"):
            y = self.fromrgb(image.to(self.dtype))
            x = y if x is None else x.to(self.dtype) + y
            image = downsample2d(image, self.resample_filter) if self.architecture == "skip" else None
        x = x.to(self.dtype)
        if self.architecture != "resnet":
            return self.conv1(self.conv0(x)), image
        return self.skip(x, gain=sqrt(0.5)) + self.conv1(self.conv0(x), gain=sqrt(0.5)), image


class DiscriminatorEpilogue(nn.Module):
    """4x4 features to a logit, or to a vector that the label is projected on."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        width, layer = config.width(4), {"act": "lrelu", "clamp": config.conv_clamp}
        if config.architecture == "skip":
            self.fromrgb = Convolution(config.channels, width, 1, act="lrelu")
        channels = config.mbstd_channels
        self.mbstd = MinibatchStd(config.mbstd_group_size, channels) if channels else None
        self.conv = Convolution(width + channels, width, 3, **layer)
        self.fc = FullyConnected(width * 16, width, "lrelu")
        self.out = FullyConnected(width, config.cmap_dim or 1)

    def forward(self, x: Tensor, image: Tensor | None, batches: int = 1) -> Tensor:
        """`(N, width, 4, 4) -> (N, 1)` or, with classes, `(N, cmap_dim)`; see `MinibatchStd` for `batches`."""
        x = x.float()
        if image is not None:
            x = x + self.fromrgb(image)
        x = x if self.mbstd is None else self.mbstd(x, batches)
        return self.out(self.fc(self.conv(x).flatten(1)))


class Discriminator(nn.Module):
    """Conditional StyleGAN2-ADA discriminator with projection on the label, `D(x, c) -> (N, 1)`.

    Example:
        >>> D = Discriminator(DiscriminatorConfig(resolution=16, c_dim=3, channel_base=128, channel_max=8))
        >>> D(torch.zeros(4, 3, 16, 16), torch.eye(3)[[0, 1, 2, 0]]).shape
        torch.Size([4, 1])
    """

    def __init__(self, config: DiscriminatorConfig, class_names: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.config, self.class_names = config, tuple(class_names)
        self.c_dim, self.img_resolution, self.img_channels = config.c_dim, config.resolution, config.channels
        for resolution in config.resolutions[:0:-1]:
            self.add_module(f"b{resolution}", DiscriminatorBlock(config, resolution))
        if config.label_planes:
            self.label_rows = nn.Parameter(torch.randn(2, config.resolution**2))
        if config.cmap_dim:
            self.mapping = MappingNetwork(0, config.c_dim, config.cmap_dim, config.mapping_layers, None, None)
        self.b4 = DiscriminatorEpilogue(config)

    @property
    def blocks(self) -> list[DiscriminatorBlock]:
        """Blocks from the full resolution down to 8x8."""
        return [self.get_submodule(f"b{resolution}") for resolution in self.config.resolutions[:0:-1]]

    def forward(self, x: Tensor, c: Tensor | None = None, batches: int = 1) -> Tensor:
        """Images `(N, channels, R, R)` in [-1, 1] and labels `(N, c_dim)` to logits `(N, 1)`.

        Images of several `batches`, one after another, are compared only with those of their own.

        Raises:
            InputError: on images of another size or a batch that the minibatch group does not divide.
        """
        check_images("x", x, self.img_channels)
        side = self.img_resolution
        check(x.shape[2:] == (side, side), "x", f"be {side} x {side} pixels", tuple(x.shape))
        x = torch.cat([x, self.planes(c)], 1) if self.config.label_planes else x
        image, features = x.contiguous(memory_format=torch.channels_last), None
        for block in self.blocks:
            features, image = block(features, image)
        logits = self.b4(features, image, batches)
        if not self.config.cmap_dim:
            return logits
        cmap = self.mapping(None, c)
        return (logits * cmap).sum(1, keepdim=True) / sqrt(cmap.shape[1])

    def planes(self, c: Tensor | None) -> Tensor:
        """Labels `(N, c_dim)` to planes `(N, c_dim, R, R)`: one learnt plane for 1, another for 0.

        Raises:
            InputError: if `c` is missing or has the wrong shape.
        """
        got = None if c is None else tuple(c.shape)
        check(got is not None and got[1:] == (self.c_dim,), "c", f"have shape (N, {self.c_dim})", got)
        rows = self.label_rows[0].lerp(self.label_rows[1], c[:, :, None].float())
        return rows.unflatten(2, (self.img_resolution, self.img_resolution))

    def set_precision(self, precision: str = "auto") -> Discriminator:
        """Compute convolutions down to 8x8 in "float32", "bfloat16" or "auto"; returns self."""
        dtype = resolve_precision(precision, next(self.parameters()).device)
        for block in self.blocks:
            block.dtype = dtype
        return self
