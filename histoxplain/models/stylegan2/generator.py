"""The generator: noise and label to w, w to styles, styles to an image."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from histoxplain._checks import check, check_one_of
from histoxplain._device import resolve_precision
from histoxplain.models.stylegan2.config import GeneratorConfig
from histoxplain.models.stylegan2.layers import (
    FIR,
    Convolution,
    FullyConnected,
    SynthesisLayer,
    ToRGB,
    normalize_2nd_moment,
)
from histoxplain.ops import setup_filter, upsample2d

if TYPE_CHECKING:
    from histoxplain.models.stylegan2.interactive import InteractiveGenerator

NOISE_MODES = ("const", "random", "none")
Styles = Mapping[str, Tensor]


class MappingNetwork(nn.Module):
    """Noise z and label c to the intermediate latent w; also the discriminator's projection of the label.

    Args:
        z_dim: length of z; 0 maps the label alone.
        c_dim: number of classes; 0 is unconditional.
        w_dim: length of w.
        layers: fully connected layers.
        num_ws: copies of w; None returns `(N, w_dim)`.
        w_avg_beta: decay of the running mean of w; None keeps none.
    """

    def __init__(
        self, z_dim: int, c_dim: int, w_dim: int, layers: int, num_ws: int | None, w_avg_beta: float | None = 0.995
    ) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.num_ws, self.layers, self.w_avg_beta = z_dim, c_dim, num_ws, layers, w_avg_beta
        if c_dim:
            self.embed = FullyConnected(c_dim, w_dim)
        into = z_dim + (w_dim if c_dim else 0)
        for i in range(layers):
            self.add_module(f"fc{i}", FullyConnected(into if i == 0 else w_dim, w_dim, "lrelu", lr_mul=0.01))
        if w_avg_beta is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self,
        z: Tensor | None,
        c: Tensor | None,
        truncation_psi: float = 1,
        truncation_cutoff: int | None = None,
        update_average: bool = False,
    ) -> Tensor:
        """`z` `(N, z_dim)` and one-hot `c` `(N, c_dim)` to `(N, num_ws, w_dim)`.

        Args:
            z: standard normal noise.
            c: one-hot labels, or any mix of them; ignored without classes.
            truncation_psi: 1 leaves w, 0 gives the mean w.
            truncation_cutoff: truncate only this many of the first copies; None truncates all.
            update_average: move `w_avg` towards this batch's mean (training).

        Raises:
            InputError: if `z` or `c` has the wrong shape or `c` is missing.
        """
        parts = []
        if self.z_dim:
            check(z.ndim == 2 and z.shape[1] == self.z_dim, "z", f"have shape (N, {self.z_dim})", tuple(z.shape))
            parts.append(normalize_2nd_moment(z.float()))
        if self.c_dim:
            got = None if c is None else tuple(c.shape)
            check(got is not None and got[1:] == (self.c_dim,), "c", f"have shape (N, {self.c_dim})", got)
            parts.append(normalize_2nd_moment(self.embed(c.float())))
        x = torch.cat(parts, 1)
        for i in range(self.layers):
            x = self.get_submodule(f"fc{i}")(x)
        if update_average:
            self.update_average(x)
        if self.num_ws is None:
            return x
        return self.truncate(x[:, None].repeat(1, self.num_ws, 1), truncation_psi, truncation_cutoff)

    def update_average(self, w: Tensor) -> None:
        """Move `w_avg` towards the mean of `w` `(N, w_dim)`."""
        self.w_avg.lerp_(w.detach().mean(0), 1 - self.w_avg_beta)

    def truncate(self, ws: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
        """Move `ws` `(N, num_ws, w_dim)` towards the mean w; `psi` 1 leaves them, 0 gives the mean."""
        if psi == 1:
            return ws
        near = self.w_avg.lerp(ws[:, :cutoff], psi)
        return near if cutoff is None else torch.cat([near, ws[:, cutoff:]], 1)


class SynthesisBlock(nn.Module):
    """Two modulated convolutions (one at 4x4) and the image they add to.

    Attributes:
        layers: names of the style-taking layers, in order.
    """

    def __init__(self, config: GeneratorConfig, resolution: int) -> None:
        super().__init__()
        out, first = config.width(resolution), resolution == 4
        self.resolution, self.architecture = resolution, config.architecture
        shape = {"use_noise": config.use_noise, "clamp": config.conv_clamp}
        if first:
            into = config.const_channels or out
            self.const = nn.Parameter(torch.randn(into, 4, 4))
        else:
            into = config.width(resolution // 2)
            self.conv0 = SynthesisLayer(into, out, config.w_dim, resolution, up=2, **shape)
            if config.architecture == "resnet":
                self.skip = Convolution(into, out, 1, bias=False, up=2)
        self.conv1 = SynthesisLayer(into if first else out, out, config.w_dim, resolution, up=1, **shape)
        self.has_image = config.architecture == "skip" or resolution == config.resolution
        if self.has_image:
            self.torgb = ToRGB(out, config.channels, config.w_dim, config.conv_clamp)
        self.register_buffer("resample_filter", setup_filter(FIR), persistent=False)
        self.dtype = torch.float32
        self.layers = [name for name in ("conv0", "conv1", "torgb") if hasattr(self, name)]

    def forward(
        self, x: Tensor | None, image: Tensor | None, s: Styles, noise_mode: str, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor | None]:
        """Features and image at half the resolution to features and image at this one."""
        name = f"b{self.resolution}."
        run = {"noise_mode": noise_mode, "generator": generator}
        if self.resolution == 4:
            x = self.const[None].expand(len(s["b4.conv1"]), -1, -1, -1).to(self.dtype)
            x = self.conv1(x.contiguous(memory_format=torch.channels_last), s[name + "conv1"], **run)
        elif self.architecture == "resnet":
            x = x.to(self.dtype)
            y = self.skip(x, gain=sqrt(0.5))
            x = y + self.conv1(self.conv0(x, s[name + "conv0"], **run), s[name + "conv1"], gain=sqrt(0.5), **run)
        else:
            x = self.conv0(x.to(self.dtype), s[name + "conv0"], **run)
            x = self.conv1(x, s[name + "conv1"], **run)
        if image is not None:
            image = upsample2d(image, self.resample_filter)
        if self.has_image:
            rgb = self.torgb(x, s[name + "torgb"])
            image = rgb if image is None else image + rgb
        return x, image


class SynthesisNetwork(nn.Module):
    """Latents to images."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        for resolution in config.resolutions:
            self.add_module(f"b{resolution}", SynthesisBlock(config, resolution))

    @property
    def blocks(self) -> list[SynthesisBlock]:
        """Blocks from 4x4 up."""
        return [self.get_submodule(f"b{resolution}") for resolution in self.config.resolutions]

    @torch.no_grad()
    def start_noise(self, strength: float, least: int = 16) -> None:
        """Set the strength of the noise of every layer from `least` pixels up."""
        for block in self.blocks:
            for layer in (block.get_submodule(name) for name in block.layers if name != "torgb"):
                if layer.noise_strength is not None and block.resolution >= least:
                    layer.noise_strength.fill_(strength)

    def styles(self, ws: Tensor) -> OrderedDict[str, Tensor]:
        """`ws` `(N, num_ws, w_dim)` to StyleSpace: layer name -> `(N, channels)`, in order of use."""
        self.check_ws(ws)
        layers = [
            (f"b{block.resolution}.{name}", getattr(block, name)) for block in self.blocks for name in block.layers
        ]
        rows = ws.unbind(1)
        return OrderedDict((name, layer.affine(rows[i])) for i, (name, layer) in zip(self.latents(), layers))

    def check_ws(self, ws: Tensor) -> None:
        """Raise `InputError` unless `ws` is `(N, num_ws, w_dim)`."""
        expected = (self.config.num_ws, self.config.w_dim)
        check(ws.ndim == 3 and ws.shape[1:] == expected, "ws", f"have shape (N, *{expected})", tuple(ws.shape))

    def latents(self) -> list[int]:
        """Which row of `ws` each layer takes, in order of use: colours share theirs with the next layer."""
        found, index = [], 0
        for block in self.blocks:
            found += [index + offset for offset in range(len(block.layers))]
            index += len(block.layers) - block.has_image
        return found

    def from_styles(
        self, s: Styles, noise_mode: str = "const", generator: torch.Generator | None = None, until: int | None = None
    ) -> Tensor:
        """StyleSpace to images; see `Generator.synthesis_from_styles`.

        With `until`, only blocks up to that resolution are computed, and their image returned.
        """
        check_one_of("noise_mode", noise_mode, NOISE_MODES)
        x = image = None
        for block in self.blocks:
            x, image = block(x, image, s, noise_mode, generator)
            if block.resolution == until:
                break
        return image

    def forward(self, ws: Tensor, noise_mode: str = "const", generator: torch.Generator | None = None) -> Tensor:
        """`ws` `(N, num_ws, w_dim)` to images `(N, channels, R, R)`, nominally in [-1, 1], not clamped.

        Args:
            ws: latents of the mapping network.
            noise_mode: "const" (the network's own noise), "random" or "none".
            generator: source of random noise; the global one if None.

        Raises:
            InputError: on a wrong shape or an unknown noise mode.
        """
        return self.from_styles(self.styles(ws), noise_mode, generator)


class Generator(nn.Module):
    """Conditional StyleGAN2 generator (Karras et al., 2020), `G(z, c) -> (N, img_channels, R, R)`.

    Attributes:
        z_dim, c_dim, w_dim, num_ws, img_resolution, img_channels: the sizes, by their usual names.
        class_names: the classes in the order of the label.

    Example:
        >>> config = GeneratorConfig(
        ...     resolution=16, z_dim=8, w_dim=8, c_dim=3, channel_base=128, channel_max=8, mapping_layers=2
        ... )
        >>> G = Generator(config)
        >>> s = G.styles(torch.zeros(1, 6, 8))
        >>> G(torch.randn(2, 8), torch.eye(3)[:2]).shape, sum(len(row[0]) for row in s.values())
        (torch.Size([2, 3, 16, 16]), 64)
    """

    def __init__(self, config: GeneratorConfig, class_names: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.config, self.class_names = config, tuple(class_names)
        self.synthesis = SynthesisNetwork(config)
        self.mapping = MappingNetwork(
            config.z_dim, config.c_dim, config.w_dim, config.mapping_layers, config.num_ws, config.w_avg_beta
        )
        self.z_dim, self.c_dim, self.w_dim, self.num_ws = config.z_dim, config.c_dim, config.w_dim, config.num_ws
        self.img_resolution, self.img_channels = config.resolution, config.channels

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1,
        truncation_cutoff: int | None = None,
        noise_mode: str = "const",
    ) -> Tensor:
        """Noise `(N, z_dim)` and labels `(N, c_dim)` to images; see `mapping` and `synthesis`."""
        return self.synthesis(self.mapping(z, c, truncation_psi, truncation_cutoff), noise_mode)

    def styles(self, ws: Tensor) -> OrderedDict[str, Tensor]:
        """`ws` `(N, num_ws, w_dim)` to StyleSpace (Wu et al., 2021): layer -> `(N, channels)`, in order of use."""
        return self.synthesis.styles(ws)

    def synthesis_from_styles(self, s: Styles, noise_mode: str = "const") -> Tensor:
        """Images `(N, img_channels, R, R)` from the styles of `styles`, edited or not."""
        return self.synthesis.from_styles(s, noise_mode)

    def interactive(self, precision: str | None = None, keep: bool = True) -> InteractiveGenerator:
        """The same images without gradients, several times faster: for sliders and for drawing many.

        Args:
            precision: "float32", "bfloat16" or "auto"; the generator's own if None.
            keep: keep every layer's output, so that only what follows a changed style is computed again.
        """
        from histoxplain.models.stylegan2.interactive import InteractiveGenerator

        return InteractiveGenerator(self, precision, keep)

    def set_precision(self, precision: str = "auto") -> Generator:
        """Compute convolutions from 8x8 up in "float32", "bfloat16" or what is "auto"matically best; returns self."""
        dtype = resolve_precision(precision, next(self.parameters()).device)
        for block in self.synthesis.blocks[1:]:
            block.dtype = dtype
        return self
