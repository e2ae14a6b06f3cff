"""Checkpoints of rosinality's StyleGAN2 and of HistoXplaining / CheXplaining, which are made with a fork of it.

The fork's generator has a wider constant input, its discriminator takes labels as further planes of the image, and it
adds an encoder. Its images are normalised with ImageNet's mean and deviation; `convert` can bring them to [-1, 1].
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

from histoxplain.models.foreign.nvidia import Part
from histoxplain.models.foreign.pickles import RefusedError
from histoxplain.models.foreign.tensors import StoredTensor

MOST_LAYERS = 20
NETWORKS = {"G_ema": "g_ema", "G": "g", "D": "d", "E": "e"}
MARKS = {"G_ema": "input.input", "E": "final_linear.0.running_mean", "D": "final_linear.0.weight"}
NAMESPACE = {"argparse.Namespace": lambda: {}}
LAYER = {"conv.weight": ("weight", 1, 0), "conv.modulation.weight": ("affine.weight", 0, 0)}
LAYER |= {"conv.modulation.bias": ("affine.bias", 0, 0)}
NOISY = {**LAYER, "noise.weight": ("noise_strength", 1, 0), "activate.bias": ("bias", 0, 0)}
COLOURS = {**LAYER, "bias": ("bias", 1, 2)}


class Name(NamedTuple):
    """A tensor's name here and there, and how many axes of length 1 it has there before and after ours."""

    ours: str
    theirs: str
    before: int = 0
    after: int = 0


def generator_names(resolution: int, mapping_layers: int) -> Iterator[Name]:
    """Names of a generator's tensors.

    Example:
        >>> names = {name.theirs: name.ours for name in generator_names(resolution=16, mapping_layers=2)}
        >>> names["convs.2.conv.weight"], names["noises.noise_4"]
        ('synthesis.b16.conv0.weight', 'synthesis.b16.conv1.noise_const')
    """
    for layer, kind in product(range(mapping_layers), ("weight", "bias")):
        yield Name(f"mapping.fc{layer}.{kind}", f"style.{layer + 1}.{kind}")
    yield Name("synthesis.b4.const", "input.input", 1)
    layers = [("b4.conv1", "conv1")]
    colours = [("b4.torgb", "to_rgb1")]
    for j in range(resolution.bit_length() - 3):
        block = f"b{8 << j}"
        layers += [(f"{block}.conv0", f"convs.{2 * j}"), (f"{block}.conv1", f"convs.{2 * j + 1}")]
        colours.append((f"{block}.torgb", f"to_rgbs.{j}"))
    for names, inner in ((layers, NOISY), (colours, COLOURS)):
        for (ours, theirs), (there, (here, *axes)) in product(names, inner.items()):
            yield Name(f"synthesis.{ours}.{here}", f"{theirs}.{there}", *axes)
    for i, (ours, _) in enumerate(layers):
        yield Name(f"synthesis.{ours}.noise_const", f"noises.noise_{i}", 2)


def trunk_names(resolution: int) -> Iterator[Name]:
    """Names of the convolutions that a discriminator and an encoder share."""
    pairs = [(f"b{resolution}.fromrgb.", "convs.0.", 0)]
    for i in range(1, resolution.bit_length() - 2):
        block = f"b{resolution >> (i - 1)}"
        pairs += [(f"{block}.conv0.", f"convs.{i}.conv1.", 0), (f"{block}.conv1.", f"convs.{i}.conv2.", 1)]
        yield Name(f"{block}.skip.weight", f"convs.{i}.skip.1.weight")
    for ours, theirs, first in pairs:
        yield Name(f"{ours}weight", f"{theirs}{first}.weight")
        yield Name(f"{ours}bias", f"{theirs}{first + 1}.bias")


def discriminator_names(resolution: int) -> Iterator[Name]:
    """Names of a discriminator's tensors."""
    yield from trunk_names(resolution)
    yield Name("b4.conv.weight", "final_conv.0.weight")
    yield Name("b4.conv.bias", "final_conv.1.bias")
    for (ours, theirs), kind in product((("fc", 0), ("out", 1)), ("weight", "bias")):
        yield Name(f"b4.{ours}.{kind}", f"final_linear.{theirs}.{kind}")
    yield Name("label_rows", "embedding.weight")


def encoder_names(resolution: int) -> Iterator[Name]:
    """Names of the tensors of HistoXplaining's encoder."""
    yield from trunk_names(resolution)
    yield Name("conv.weight", "final_conv.0.weight")
    yield Name("conv.bias", "final_conv.1.bias")
    for kind in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
        yield Name(f"norm.{kind}", f"final_linear.0.{kind}")
    for kind in ("weight", "bias"):
        yield Name(f"out.{kind}", f"final_linear.1.{kind}")


def parts(contents: Any) -> dict[str, Part]:
    """The networks among the contents of a file under our names: "G_ema", "G", "D", "E"; empty if there are none.

    Raises:
        RefusedError: if a network has tensors that none of rosinality's have.
    """
    if not isinstance(contents, dict):
        return {}
    for ours, mark in MARKS.items():
        if mark in contents:
            contents = {NETWORKS[ours]: contents}
            break
    found = {ours: contents[theirs] for ours, theirs in NETWORKS.items() if isinstance(contents.get(theirs), dict)}
    parts = {ours: Part(_rename(ours, state)) for ours, state in found.items() if state}
    for ours in parts.keys() & {"G", "G_ema"}:
        if isinstance(contents.get("latent_avg"), StoredTensor):
            parts[ours].tensors["mapping.w_avg"] = contents["latent_avg"]
    return parts


def names_for(network: str, state: dict[str, Any]) -> Iterator[Name]:
    """Names of the tensors that a state dict of rosinality's should have, by its depth."""
    if network in ("G", "G_ema"):
        depth, layers = _count(r"to_rgbs\.\d+\.bias", state), _count(r"style\.\d+\.weight", state)
        return generator_names(4 << depth, layers)
    resolution = 4 << _count(r"convs\.\d+\.conv1\.0\.weight", state)
    return discriminator_names(resolution) if network == "D" else encoder_names(resolution)


def _rename(network: str, state: dict[str, Any]) -> dict[str, StoredTensor]:
    state = {name.removeprefix("module."): value for name, value in state.items() if isinstance(value, StoredTensor)}
    names = {name.theirs: name for name in names_for(network, state)}
    ignored = {"embedding.weight"} if network in ("G", "G_ema") else set()
    strange = [name for name in state if name not in names and name not in ignored and not name.endswith(".kernel")]
    if strange:
        raise RefusedError(f"whose network {NETWORKS[network]} has {strange[0]:.80}, which is not rosinality's")
    tensors = {names[name].ours: state[name].without_axes(*names[name][2:]) for name in state if name in names}
    return tensors | {f"{name}.filter": state[name] for name in state if name.endswith(".kernel")}


def _count(pattern: str, state: dict[str, Any]) -> int:
    count = sum(re.fullmatch(pattern, name) is not None for name in state)
    if count > MOST_LAYERS:
        raise RefusedError(f"whose network has {count} layers of one kind")
    return count
