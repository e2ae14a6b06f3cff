"""An encoder that says where nuclei lie: an image to W+ and to the offset of the generator's feature maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain._checks import check, check_at_least, check_images, check_one_of, check_power_of_two
from histoxplain._device import resolve_precision
from histoxplain.models.detail import SHRINK, detail_site, detailed
from histoxplain.models.feature_encoder import FeatureEncoder
from histoxplain.models.projector import LEAST, projector
from histoxplain.models.stylegan2.layers import Convolution, FullyConnected

if TYPE_CHECKING:
    from histoxplain.models.encoder import Encoder
    from histoxplain.models.stylegan2 import Generator


@dataclass(frozen=True, kw_only=True)
class DetailEncoderConfig:
    """The shape of a `DetailEncoder`, which follows from its generator; see `config_for`."""

    resolution: int
    """Side of the square image in pixels; a power of two."""
    channels: int = 3
    """Colours of the image: 1 grey, 3 RGB."""
    w_dim: int = 512
    """Length of the latent w."""
    num_ws: int = 10
    """Latents for each image that the generator takes."""
    detail_channels: int = 0
    """Feature maps of the generator where detail is added; 0 for one that takes none."""
    width: int = 128
    """Feature maps of the encoder."""
    depth: int = 2
    """Residual blocks on the way to the detail."""

    def __post_init__(self) -> None:
        check_power_of_two("resolution", self.resolution, least=8)
        check_one_of("channels", self.channels, (1, 3))
        for name in ("w_dim", "num_ws", "width"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("detail_channels", "depth"):
            check_at_least(name, getattr(self, name), 0)


def config_for(G: Generator, width: int = 128, depth: int = 2) -> DetailEncoderConfig:
    """The shape of an encoder for a generator."""
    site = detail_site(G)
    return DetailEncoderConfig(
        resolution=G.img_resolution,
        channels=G.img_channels,
        w_dim=G.w_dim,
        num_ws=G.num_ws,
        detail_channels=0 if site is None else site.conv1.weight.shape[0],
        width=width,
        depth=depth,
    )


class DetailEncoder(nn.Module):
    """Image to W+, `E(x) -> (N, num_ws, w_dim)`, and to what W+ cannot say, `E.detail(x, features) -> (N, C, h, w)`.

    It looks at an image through EfficientNet-Lite0's ImageNet features, which are installed and are no part of its
    weights. The detail is what the generator's feature maps lack of the image, so those are looked at too.

    Example:
        >>> E = DetailEncoder(DetailEncoderConfig(resolution=16, w_dim=4, num_ws=6, detail_channels=5, width=8))
        >>> x = torch.zeros(2, 3, 16, 16)
        >>> E(x).shape, E.detail(x, torch.ones(2, 5, 8, 8)).shape
        (torch.Size([2, 6, 4]), torch.Size([2, 5, 8, 8]))
    """

    def __init__(self, config: DetailEncoderConfig) -> None:
        super().__init__()
        self.config, self.num_ws, self.w_dim = config, config.num_ws, config.w_dim
        self.img_resolution, self.img_channels = config.resolution, config.channels
        self.dtype = torch.float32
        width = config.width
        self.latent = FeatureEncoder(config.w_dim, config.channels, width)
        self.apart = _silent(FullyConnected(4 * width, config.num_ws * config.w_dim))
        if config.detail_channels:
            self.shrink = nn.PixelUnshuffle(config.resolution // self.detail_side)
            pixels = config.channels * (config.resolution // self.detail_side) ** 2
            self.look = Convolution(pixels, width, 3, act="lrelu")
            self.compare = Convolution(width + config.detail_channels, width, 3, act="lrelu")
            self.steps = nn.ModuleList(Convolution(width, width, 3, act="lrelu") for _ in range(2 * config.depth))
            self.lack = _silent(Convolution(width, config.detail_channels, 3))

    @property
    def detail_side(self) -> int:
        """Side of the feature maps that take detail."""
        return max(self.config.resolution // SHRINK, 8)

    def forward(self, x: Tensor) -> Tensor:
        """Images `(N, channels, R, R)` in [-1, 1] to latents `(N, num_ws, w_dim)`.

        Raises:
            InputError: on images of another size.
        """
        check_images("x", x, self.img_channels)
        side = self.img_resolution
        check(x.shape[2:] == (side, side), "x", f"be {side} x {side} pixels", tuple(x.shape))
        small = x if side <= LEAST else F.interpolate(x, size=(LEAST, LEAST), mode="area")
        summary = self.latent.summary(projector(str(x.device))(small), small)
        apart = self.apart(summary).unflatten(1, (self.num_ws, self.w_dim))
        return self.latent.out(summary)[:, None] + apart

    def detail(self, x: Tensor, features: Tensor) -> Tensor:
        """What the generator's features lack of an image.

        Args:
            x: images `(N, channels, R, R)` in [-1, 1].
            features: of the generator at `detail_site`, drawn with the latents of `x`, `(N, C, h, w)`.

        Returns:
            Their offset `(N, C, h, w)`, float32.

        Raises:
            InputError: for an encoder whose generator takes no detail.
        """
        check(bool(self.config.detail_channels), "detail", "be asked only of an encoder that gives it", 0)
        scale = features.std((1, 2, 3), keepdim=True) + 1e-6
        seen = self.look(self.shrink(x).to(self.dtype).contiguous(memory_format=torch.channels_last))
        y = self.compare(torch.cat([seen, (features / scale).to(self.dtype)], 1))
        for first, second in zip(self.steps[::2], self.steps[1::2]):
            y = (y + second(first(y))) * 0.5**0.5
        return self.lack(y).float() * scale

    def set_precision(self, precision: str = "auto") -> DetailEncoder:
        """Compute the detail in "float32", "bfloat16" or "auto"; returns self."""
        self.dtype = resolve_precision(precision, next(self.parameters()).device)
        return self


class Encoded(NamedTuple):
    """What an encoder finds in images, and what the generator draws of it."""

    ws: Tensor
    """`(N, num_ws, w_dim)`."""
    detail: Tensor | None
    """What `ws` does not say, `(N, C, h, w)`; None for an encoder or a generator without."""
    images: Tensor
    """`(N, C, R, R)`, unclamped."""
    effort: Tensor
    """Mean squared detail, in variances of the feature maps it is added to, `(N,)`."""


def encode(G: Generator, E: Encoder | DetailEncoder, x: Tensor, ws: Tensor | None = None) -> Encoded:
    """Find latents and detail of images, and draw them, in one pass of the encoder and of the generator.

    Args:
        G: the generator.
        E: its encoder.
        x: images `(N, C, R, R)` in [-1, 1].
        ws: latents in place of those that the encoder finds.

    Raises:
        InputError: on images of another size.
    """
    ws = E(x) if ws is None else ws
    if detail_site(G) is None or not getattr(E.config, "detail_channels", 0):
        return Encoded(ws, None, G.synthesis(ws, noise_mode="const").float(), ws.new_zeros(len(ws)))
    found: list[tuple[Tensor, Tensor]] = []

    def lack(features: Tensor) -> Tensor:
        offset = E.detail(x, features)
        found.append((offset, offset.square().mean((1, 2, 3)) / (features.var((1, 2, 3)) + 1e-6)))
        return offset

    with detailed(G, lack):
        images = G.synthesis(ws, noise_mode="const").float()
    return Encoded(ws, found[0][0], images, found[0][1])


def _silent(layer: nn.Module) -> nn.Module:
    """The layer, saying nothing yet."""
    if not layer.weight.is_meta:
        nn.init.zeros_(layer.weight)
    return layer
