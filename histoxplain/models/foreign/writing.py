"""Write networks of ours so that other people's code loads them: state dicts in rosinality's or NVIDIA's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from histoxplain._atomic import replacing
from histoxplain._checks import InputError, check_one_of
from histoxplain.models.foreign.rosinality import Name, discriminator_names, encoder_names, generator_names
from histoxplain.models.stylegan2.config import DiscriminatorConfig, EncoderConfig, GeneratorConfig

LAYOUTS = ("nvidia", "rosinality")
ROLES = {"generator": "g_ema", "discriminator": "d", "encoder": "e"}
State = dict[str, Tensor]


def write_state_dicts(path: str | Path, networks: Mapping[str, nn.Module], layout: str) -> list[str]:
    """Write state dicts with `torch.save`; the file loads with `weights_only=True`.

    Args:
        path: the `.pt` file.
        networks: "generator", "discriminator", "encoder" -> network.
        layout: "rosinality" (`g_ema`, `d`, `e` and `latent_avg`, the mean of w) or "nvidia" (`G_ema`, `D`: what
            `load_state_dict` of networks built with NVIDIA's code takes).

    Returns:
        notes on what the other code does differently.

    Raises:
        InputError: if a network is of a shape that the other code cannot build.
    """
    check_one_of("layout", layout, LAYOUTS)
    contents, notes = (_rosinality if layout == "rosinality" else _nvidia)(networks)
    with replacing(path) as part:
        torch.save(contents, part)
    return notes


def _nvidia(networks: Mapping[str, nn.Module]) -> tuple[dict[str, State], list[str]]:
    if "encoder" in networks:
        raise InputError("`layout` must be able to hold an encoder, got 'nvidia'; leave the encoder out.")
    names = {"generator": "G_ema", "discriminator": "D"}
    contents = {names[role]: _with_filters(network) for role, network in networks.items()}
    clamps = {role: clamp for role, network in networks.items() if (clamp := network.config.conv_clamp)}
    return contents, [f"build the {role} with conv_clamp={clamp:g}" for role, clamp in clamps.items()]


def _with_filters(network: nn.Module) -> State:
    return {**network.state_dict(), **dict(network.named_buffers())}


def _rosinality(networks: Mapping[str, nn.Module]) -> tuple[dict[str, State | Tensor], list[str]]:
    contents: dict[str, State | Tensor] = {}
    for role, network in networks.items():
        _check_buildable(role, network.config)
        contents[ROLES[role]] = _renamed(network.state_dict(), _names(role, network.config))
    if "generator" in networks and networks["generator"].config.const_channels:
        contents["g_ema"]["embedding.weight"] = torch.zeros(2, 10)  # HistoXplaining's code expects it and ignores it
    if "g_ema" in contents:
        contents |= {"g": contents["g_ema"], "latent_avg": networks["generator"].mapping.w_avg}
    clamped = [role for role, network in networks.items() if network.config.conv_clamp]
    return contents, [f"rosinality's code does not limit activations, as this {role} does" for role in clamped]


def _names(role: str, config: GeneratorConfig | DiscriminatorConfig | EncoderConfig) -> Iterable[Name]:
    if role == "generator":
        return generator_names(config.resolution, config.mapping_layers)
    return discriminator_names(config.resolution) if role == "discriminator" else encoder_names(config.resolution)


def _renamed(state: State, names: Iterable[Name]) -> State:
    """The tensors under rosinality's names, with its axes and its filters."""
    theirs: State = {}
    taps = torch.outer(*2 * [torch.tensor([1.0, 3.0, 3.0, 1.0])]) / 64
    for name in names:
        if name.ours in state:
            value = state[name.ours]
            theirs[name.theirs] = value.reshape(name.before * (1,) + value.shape + name.after * (1,)).contiguous()
        filters = {
            ".conv0.weight": ("conv.weight", "conv.blur.kernel", 4),
            ".torgb.bias": ("bias", "upsample.kernel", 4),
            ".conv1.weight": ("1.weight", "0.kernel", 1),
            ".skip.weight": ("1.weight", "0.kernel", 1),
        }
        for ours, (end, filtered, gain) in filters.items():
            upwards = name.ours.startswith("synthesis.")
            if name.ours.endswith(ours) and name.theirs.endswith(end) and upwards == (gain == 4):
                theirs[name.theirs.removesuffix(end) + filtered] = taps * gain
    return {name: value for name, value in theirs.items() if name != "to_rgb1.upsample.kernel"}


def _check_buildable(role: str, config: GeneratorConfig | DiscriminatorConfig | EncoderConfig) -> None:
    """Whether rosinality's code, which has fewer options, builds this network.

    Raises:
        InputError: naming the option.
    """
    tables = [[512 if r <= 32 else min(512, full // r) for r in config.resolutions] for full in (16384, 32768)]
    widths = [config.width(r) for r in config.resolutions]
    allowed = {"architecture": "skip" if role == "generator" else "resnet"}
    if role == "generator":
        allowed |= {"c_dim": 0, "use_noise": True, "z_dim": config.w_dim}
    if role == "discriminator":
        allowed |= {"c_dim": config.c_dim * config.label_planes, "mbstd_group_size": 4, "mbstd_channels": 1}
    if role == "encoder":
        allowed |= {"head": "norm"}
    wrong = [f"{name} {getattr(config, name)}" for name, value in allowed.items() if getattr(config, name) != value]
    if widths not in tables:
        wrong.append(f"the channels {widths}")
    if wrong:
        raise InputError(
            f"`layout` must fit the network, got 'rosinality' for a {role} with {wrong[0]}; use the layout nvidia."
        )
