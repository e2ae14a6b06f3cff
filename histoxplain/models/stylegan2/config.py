"""The numbers that make a StyleGAN2, free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import ClassVar

from histoxplain._checks import check, check_at_least, check_one_of, check_power_of_two

ARCHITECTURES = ("orig", "skip", "resnet")
HEADS = ("mlp", "norm")


@dataclass(frozen=True, kw_only=True)
class _NetworkConfig:
    resolution: int = 64
    """Side of the square image in pixels; a power of two."""
    channels: int = 3
    """Colours of the image: 1 grey, 3 RGB."""
    c_dim: int = 0
    """Number of classes; 0 is unconditional."""
    channel_base: int = 32768
    """A layer at resolution r has `min(channel_base // r, channel_max)` feature maps."""
    channel_max: int = 512
    """Upper limit of feature maps."""
    conv_clamp: float | None = None
    """Limit of activations, in units of the layer's gain; None does not limit."""

    least_resolution: ClassVar[int] = 8

    def __post_init__(self) -> None:
        check_power_of_two("resolution", self.resolution, least=self.least_resolution)
        check_at_least("channels", self.channels, 1)
        check_at_least("c_dim", self.c_dim, 0)
        check_at_least("channel_max", self.channel_max, 1)
        check_one_of("architecture", self.architecture, ARCHITECTURES)
        enough = self.channel_base >= self.resolution
        check(enough, "channel_base", "be at least `resolution`", self.channel_base, f"try {64 * self.resolution}")

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Resolutions of the blocks, 4 up to `resolution`."""
        return tuple(2**power for power in range(2, int(log2(self.resolution)) + 1))

    def width(self, resolution: int) -> int:
        """Number of feature maps at a resolution."""
        return min(self.channel_base // resolution, self.channel_max)

    @property
    def input_channels(self) -> int:
        """Planes that a network which looks at images takes."""
        return self.channels


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig(_NetworkConfig):
    """A generator's shape.

    Example:
        >>> config = GeneratorConfig(resolution=32, channel_base=1024, channel_max=64)
        >>> config.num_ws, [config.width(r) for r in config.resolutions]
        (8, [64, 64, 64, 32])
    """

    z_dim: int = 512
    """Length of the noise vector z."""
    w_dim: int = 512
    """Length of the intermediate latent w."""
    mapping_layers: int = 8
    """Fully connected layers from z to w."""
    architecture: str = "skip"
    """"skip" (sum of images), "orig" or "resnet"."""
    use_noise: bool = True
    """Whether layers add noise."""
    w_avg_beta: float = 0.995
    """Decay of the running mean of w."""
    const_channels: int | None = None
    """Feature maps of the constant input; None takes as many as follow it. HistoXplaining's has ten more a class."""

    least_resolution: ClassVar[int] = 4

    @property
    def num_ws(self) -> int:
        """How many copies of w the synthesis takes: 2 log2(resolution) - 2."""
        return 2 * len(self.resolutions)


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig(_NetworkConfig):
    """A discriminator's shape."""

    architecture: str = "resnet"
    """"resnet", "skip" or "orig"."""
    mapping_layers: int = 8
    """Fully connected layers from the label to its projection."""
    mbstd_group_size: int | None = 4
    """Images whose spread the minibatch statistic compares; None takes the whole batch."""
    mbstd_channels: int = 1
    """Feature maps the minibatch statistic adds; 0 leaves it out."""
    label_planes: bool = False
    """Take the label as one more plane of the image for each class, as HistoXplaining does, not as a projection."""

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = not self.label_planes or self.architecture != "skip"
        check(whole, "label_planes", "be off with the architecture skip", self.label_planes)

    @property
    def cmap_dim(self) -> int:
        """Length of the label's projection; 0 without classes."""
        return self.width(4) if self.c_dim and not self.label_planes else 0

    @property
    def input_channels(self) -> int:
        """Planes of the image, and of the label where it comes as planes."""
        return self.channels + self.c_dim * self.label_planes


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(_NetworkConfig):
    """An encoder's shape: the trunk of a residual discriminator, ending in latents."""

    architecture: str = "resnet"
    """Only "resnet" is of use here."""
    w_dim: int = 512
    """Length of the latent w."""
    num_ws: int = 10
    """Copies of w that the generator takes."""
    codes: int = 1
    """Different latents it finds: 1 is W (the same w for every layer), `num_ws` is W+."""
    head: str = "mlp"
    """What follows the trunk: "mlp" (two layers) or "norm" (batch normalisation and one layer, HistoXplaining's)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("head", self.head, HEADS)
        check_one_of("codes", self.codes, (1, self.num_ws))
