"""The checkpoint that a training starts from: ours or somebody else's, of these classes or of others."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from histoxplain._checks import InputError, check, check_exists
from histoxplain.models.checkpoint import load_checkpoint
from histoxplain.models.foreign import foreign_kinds, is_foreign
from histoxplain.models.loading import read_network
from histoxplain.models.stylegan2 import Discriminator, Generator, load_discriminator, load_generator
from histoxplain.train.grow import grow_discriminator, grow_generator, transfer

SHAPE = ("z_dim", "w_dim", "mapping_layers", "channel_base", "channel_max", "conv_clamp", "use_noise", "architecture")
"""What a generator's configuration and `GANConfig` both say."""
State = dict[str, Tensor]


def origin(path: str | Path, role: str) -> Path | None:
    """The file that holds a network: `path` itself, or one that lies in or beside it.

    Args:
        path: a folder that a training wrote, or any file that `load_generator` reads.
        role: "generator", "discriminator" or "encoder".

    Returns:
        None where there is no such network.

    Raises:
        InputError: if there is nothing at `path`, or it cannot be read.
    """
    path = check_exists("start_from", path)
    if not path.is_dir() and is_foreign(path):
        return path if any(kind.rpartition(".")[2] == role for kind in foreign_kinds(path)) else None
    if not path.is_dir() and load_checkpoint(path).kind.rpartition(".")[2] == role:
        return path
    beside = (path if path.is_dir() else path.parent) / f"{role}.safetensors"
    return beside if beside.is_file() else None


def own_state(path: str | Path | None, role: str, kind: str) -> State | None:
    """The weights of a network that one of our trainings wrote, in or beside `path`; None where none is of that kind.

    Args:
        path: see `origin`; None finds nothing.
        role: see `origin`.
        kind: of the checkpoint.
    """
    file = origin(path, role) if path is not None else None
    if file is None or is_foreign(file):
        return None
    checkpoint = load_checkpoint(file)
    return checkpoint.state if checkpoint.kind == kind else None


def shape_of(path: str | Path) -> dict[str, Any]:
    """Settings of `GANConfig` that give a new training networks of the shape of a checkpoint's.

    Args:
        path: see `origin`.

    Raises:
        InputError: if it holds no generator.
    """
    file = origin(path, "generator")
    check(file is not None, "start_from", "hold a generator", path)
    found = read_network(file, "stylegan2.generator").config
    shape = {name: found[name] for name in SHAPE if name in found}
    judge = origin(path, "discriminator")
    if judge is not None and (is_foreign(judge) or load_checkpoint(judge).kind == "stylegan2.discriminator"):
        shape["architecture_d"] = read_network(judge, "stylegan2.discriminator").config.get("architecture", "resnet")
    return shape


def start_generator(generator: Generator, path: str | Path) -> None:
    """Fill a generator from a checkpoint, and say what starts fresh.

    Raises:
        InputError: if there is none, or one of too small a resolution.
    """
    file = origin(path, "generator")
    check(file is not None, "start_from", "hold a generator", path)
    before = load_generator(file, "cpu")
    state = before.state_dict()
    state |= _relabelled(state, before, generator)
    _fill(generator, before, state, grow_generator, file)


def start_discriminator(discriminator: Discriminator, path: str | Path) -> None:
    """Fill a discriminator from a checkpoint if it holds one, and say what starts fresh."""
    file = origin(path, "discriminator")
    if file is None:
        print(f"Discriminator: starting fresh, {path} holds none")
        return
    before = load_discriminator(file, "cpu")
    state = before.state_dict()
    state |= _without_planes(state, before)
    _fill(discriminator, before, state, grow_discriminator, file)


def _fill(network: nn.Module, before: nn.Module, state: State, grow: Callable[..., list[str]], file: Path) -> None:
    """Start from a network of the same, a higher, or half the resolution."""
    here, there = network.img_resolution, before.img_resolution
    if there < here and 2 * there != here:
        raise InputError(f"`start_from` must hold networks of {here // 2} px or more, got {there} px.")
    fresh = grow(network, before, state) if there < here else transfer(network, state)
    print(f"{type(network).__name__}: from {file}{_changes(network, before)}")
    if fresh:
        print(f"{type(network).__name__}: starting fresh with {', '.join(_layers(fresh))}")


def _changes(network: nn.Module, before: nn.Module) -> str:
    """What is not as it was, in words."""
    pairs = {"px": "img_resolution", "classes": "c_dim", "channels": "img_channels"}
    changed = {unit: (getattr(before, name), getattr(network, name)) for unit, name in pairs.items()}
    return "".join(f", {old} -> {new} {unit}" for unit, (old, new) in changed.items() if old != new)


def _layers(names: list[str]) -> list[str]:
    """Names of tensors as names of their layers.

    Example:
        >>> _layers(["mapping.embed.weight", "mapping.embed.bias", "b4.const"])
        ['mapping.embed', 'b4.const']
    """
    return list(dict.fromkeys(name.removesuffix(".weight").removesuffix(".bias") for name in names))


def _relabelled(state: State, before: Generator, into: Generator) -> State:
    """The first mapping layer for a generator that gains or loses labels.

    What it does with z stays, so that w is distributed as before. New labels have no effect at first.
    """
    old, name, z = state["mapping.fc0.weight"], "mapping.fc0.weight", before.z_dim
    width = into.mapping.get_submodule("fc0").weight.shape[1]
    if bool(before.c_dim) == bool(into.c_dim) or z != into.z_dim:
        return {}
    weight = torch.zeros(len(old), width)
    weight[:, :z] = old[:, :z] * sqrt(width / old.shape[1])  # the layer divides by the root of its width
    return {name: weight}


def _without_planes(state: State, before: Discriminator) -> State:
    """The first layer of a discriminator that took labels as planes (HistoXplaining's), for images alone."""
    if not before.config.label_planes:
        return {}
    name, colours = f"b{before.img_resolution}.fromrgb.weight", before.img_channels
    weight = state[name]
    return {name: weight[:, :colours] * sqrt(colours / weight.shape[1])}
