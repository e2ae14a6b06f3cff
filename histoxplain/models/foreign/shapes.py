"""A network's configuration, found from the shapes of its tensors and the attributes of its modules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from histoxplain.models.foreign.nvidia import Part
from histoxplain.models.foreign.pickles import RefusedError

Shapes = Mapping[str, tuple[int, ...]]
LARGEST, LONGEST = 4096, 10_000
FILTER = re.compile(r"(^|\.)(resample_filter|filter|kernel\.filter)$")


class _Shapes(dict):
    """Shapes by name; a missing one ends the reading."""

    def __missing__(self, name: str) -> tuple[int, ...]:
        raise RefusedError(f"whose network lacks {name}; it is no StyleGAN2")


def generator_config(part: Part) -> dict[str, Any]:
    """Configuration of a generator; the fields of `GeneratorConfig`."""
    shapes = _shapes(part)
    widths = {r: shapes[f"synthesis.b{r}.conv1.weight"][0] for r in _resolutions(shapes, r"synthesis\.b(\d{1,5})\.")}
    side, const = max(widths), shapes["synthesis.b4.const"][0]
    c_dim = shapes["mapping.embed.weight"][1] if "mapping.embed.weight" in shapes else 0
    embedded = shapes["mapping.embed.weight"][0] if c_dim else 0
    w_dim = shapes["synthesis.b4.conv1.affine.weight"][1]
    z_dim = shapes["mapping.fc0.weight"][1] - embedded
    if max(z_dim, w_dim, c_dim) > LONGEST:
        raise RefusedError(f"whose network has latents or labels of more than {LONGEST} numbers")
    beta = part.attributes.get("mapping.w_avg_beta")
    return {
        **_common(widths, part, "synthesis.b4.conv1.conv_clamp"),
        "channels": shapes[f"synthesis.b{side}.torgb.weight"][0],
        "const_channels": None if const == widths[4] else const,
        "c_dim": c_dim,
        "z_dim": z_dim,
        "w_dim": w_dim,
        "mapping_layers": _layers(shapes),
        "architecture": _architecture(shapes, side, "synthesis.", "torgb"),
        "use_noise": "synthesis.b4.conv1.noise_strength" in shapes,
        "w_avg_beta": 0.995 if beta is None else beta,
    }


def discriminator_config(part: Part) -> dict[str, Any]:
    """Configuration of a discriminator; the fields of `DiscriminatorConfig`."""
    shapes = _shapes(part)
    widths = {r: shapes[f"b{r}.conv0.weight"][0] for r in _resolutions(shapes, r"b(\d{1,5})\.conv0\.")}
    widths[4], into, side = *shapes["b4.conv.weight"][:2], max(widths, default=4)
    planes = "label_rows" in shapes
    taken = shapes[f"b{side}.fromrgb.weight"][1]
    c_dim = taken - 3 if planes else shapes["mapping.embed.weight"][1] if "mapping.embed.weight" in shapes else 0
    return {
        **_common(widths, part, f"b{side}.conv0.conv_clamp"),
        "channels": 3 if planes else taken,
        "c_dim": c_dim,
        "label_planes": planes,
        "mapping_layers": _layers(shapes) or 8,
        "architecture": _architecture(shapes, side, "", "fromrgb"),
        "mbstd_channels": into - widths[4],
        "mbstd_group_size": part.attributes.get("b4.mbstd.group_size", 4),
    }


def encoder_config(part: Part) -> dict[str, Any]:
    """Configuration of an encoder; the fields of `EncoderConfig`."""
    shapes = _shapes(part)
    widths = {r: shapes[f"b{r}.conv0.weight"][0] for r in _resolutions(shapes, r"b(\d{1,5})\.conv0\.")}
    widths[4], side = shapes["conv.weight"][0], max(widths, default=4)
    num_ws = 2 * side.bit_length() - 4
    w_dim, rest = divmod(shapes["out.weight"][0], num_ws)
    if rest:
        raise RefusedError(f"whose encoder finds {shapes['out.weight'][0]} numbers, not latents of {num_ws} layers")
    shape = {"channels": shapes[f"b{side}.fromrgb.weight"][1], "w_dim": w_dim, "num_ws": num_ws, "codes": num_ws}
    return {**_common(widths, part, ""), **shape, "architecture": "resnet", "head": "norm"}


def check_usual(part: Part) -> None:
    """Refuse networks whose numbers mean something else than ours: other filters, activations or learning rates.

    Raises:
        RefusedError: naming the layer.
    """
    taps = torch.outer(*2 * [torch.tensor([1.0, 3.0, 3.0, 1.0])]) / 64
    for name in [name for name in part.tensors if FILTER.search(name)]:
        stored = part.tensors.pop(name)
        f = stored.load() if stored.shape == (4, 4) else torch.zeros(())
        if not any(torch.allclose(f, taps * gain, atol=1e-5) for gain in (1, 4)):
            raise RefusedError(f"whose network resamples with another filter than [1, 3, 3, 1] in {name}")
    for name, value in part.attributes.items():
        if name.endswith(".activation") and value not in ("lrelu", "linear"):
            raise RefusedError(f"whose network has the activation {value!r:.20} in {name.removesuffix('.activation')}")
        if re.fullmatch(r"mapping\.fc\d+\.bias_gain", name) and abs(value - 0.01) > 1e-6:
            raise RefusedError(f"whose mapping network has the learning rate {value}; only 0.01 is known")


def _shapes(part: Part) -> Shapes:
    return _Shapes({name: tensor.shape for name, tensor in part.tensors.items()})


def _common(widths: dict[int, int], part: Part, clamp: str) -> dict[str, Any]:
    """Resolution, numbers of channels, clamp; `channel_base` is the least that gives these widths."""
    if max(widths) > LARGEST:
        raise RefusedError(f"whose network is for images of {max(widths)} pixels; the largest known have {LARGEST}")
    base = max(width * resolution for resolution, width in widths.items())
    sizes = {"resolution": max(widths), "channel_base": base, "channel_max": max(widths.values())}
    return {**sizes, "conv_clamp": part.attributes.get(clamp)}


def _resolutions(shapes: Shapes, pattern: str) -> list[int]:
    return sorted({int(match[1]) for name in shapes if (match := re.match(pattern, name))} - {4} | _four(pattern))


def _four(pattern: str) -> set[int]:
    return {4} if pattern.startswith("synthesis") else set()


def _layers(shapes: Shapes) -> int:
    return sum(re.fullmatch(r"mapping\.fc\d+\.weight", name) is not None for name in shapes)


def _architecture(shapes: Shapes, side: int, prefix: str, image: str) -> str:
    """Which of "skip", "resnet" and "orig" has these layers."""
    if f"{prefix}b{side}.skip.weight" in shapes:
        return "resnet"
    return "skip" if f"{prefix}b4.{image}.weight" in shapes else "orig"
