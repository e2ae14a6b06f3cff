"""From settings to the two networks of a GAN."""

from __future__ import annotations

from typing import Any

from torch import nn

from histoxplain._checks import check
from histoxplain.models.stylegan2 import Discriminator, DiscriminatorConfig, Generator, GeneratorConfig
from histoxplain.train.config_gan import GANConfig
from histoxplain.train.origin import start_discriminator, start_generator


def make_generator(config: GANConfig, resolution: int, channels: int, class_names: tuple[str, ...] = ()) -> Generator:
    """A generator as the settings describe it, on the CPU, begun where `start_from` says.

    Args:
        config: the settings.
        resolution: side of the images.
        channels: 1 or 3.
        class_names: the classes; none make it unconditional.
    """
    shape = GeneratorConfig(
        **_shape(config, resolution, channels, len(class_names)),
        z_dim=config.z_dim,
        w_dim=config.w_dim,
        mapping_layers=config.mapping_layers,
        architecture=config.architecture,
        use_noise=config.use_noise,
    )
    generator = Generator(shape, class_names)
    if config.start_from is not None:
        start_generator(generator, config.start_from)
    elif config.noise_start:
        generator.synthesis.start_noise(config.noise_start)
    return generator


def make_discriminator(
    config: GANConfig, resolution: int, channels: int, class_names: tuple[str, ...] = ()
) -> Discriminator:
    """A discriminator as the settings describe it; see `make_generator`."""
    shape = DiscriminatorConfig(
        **_shape(config, resolution, channels, len(class_names)),
        architecture=config.architecture_d,
        mbstd_group_size=min(config.mbstd_group, config.batch),
    )
    discriminator = Discriminator(shape, class_names)
    if config.start_from is not None:
        start_discriminator(discriminator, config.start_from)
    return discriminator


def _shape(config: GANConfig, resolution: int, channels: int, classes: int) -> dict[str, Any]:
    """What both networks share."""
    return {
        "resolution": resolution,
        "channels": channels,
        "c_dim": classes,
        "channel_base": config.channel_base_at(resolution),
        "channel_max": config.channel_max,
        "conv_clamp": config.conv_clamp,
    }


def freeze(discriminator: nn.Module, layers: int) -> list[str]:
    """Keep the first layers of a discriminator from training (FreezeD; Mo et al., 2020).

    They are counted from the full resolution down, in each block fromrgb, conv0, conv1, skip.

    Args:
        discriminator: of StyleGAN2.
        layers: how many; 0 freezes none.

    Returns:
        Their names.

    Raises:
        InputError: if there are fewer.

    Example:
        >>> D = Discriminator(DiscriminatorConfig(resolution=16, channel_base=64, channel_max=8))
        >>> freeze(D, 5)
        ['b16.fromrgb', 'b16.conv0', 'b16.conv1', 'b16.skip', 'b8.conv0']
    """
    if not layers:
        return []
    parts = ("fromrgb", "conv0", "conv1", "skip")
    sides = discriminator.config.resolutions[:0:-1]
    names = [f"b{r}.{part}" for r in sides for part in parts if hasattr(discriminator.get_submodule(f"b{r}"), part)]
    check(layers <= len(names), "freeze_d", f"be at most {len(names)} at this resolution", layers)
    for name in names[:layers]:
        discriminator.get_submodule(name).requires_grad_(False)
    return names[:layers]
