"""Networks for images normalised with a mean and a deviation, brought to images in [-1, 1] by their weights alone."""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch
from torch import Tensor

from histoxplain._checks import InputError

IMAGE_RANGES = {"unit": None, "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}
NORMALISED = "this looks like HistoXplaining's network, whose images are normalised as ImageNet's"
State = dict[str, Tensor]


def is_normalised(config: dict[str, Any]) -> bool:
    """Whether a foreign generator is HistoXplaining's or CheXplaining's, by its wider constant input.

    Example:
        >>> is_normalised({"const_channels": 532}), is_normalised({"const_channels": None})
        (True, False)
    """
    return config.get("const_channels") is not None


def to_unit_range(state: State, config: dict[str, Any], image_range: str) -> State:
    """Weights that draw, or look at, images in [-1, 1] and do otherwise exactly the same.

    Args:
        state: weights of a generator, discriminator or encoder.
        config: its configuration.
        image_range: what its images are now: "unit" (in [-1, 1]; nothing changes) or "imagenet" (in [0, 1], less
            ImageNet's mean, divided by its deviation).

    Raises:
        InputError: if the network has no layer that takes the change exactly.

    Example:
        >>> w = torch.zeros(3, 1, 1, 1)
        >>> state = {"synthesis.b8.torgb.weight": w, "synthesis.b8.torgb.bias": torch.zeros(3)}
        >>> config = {"resolution": 8, "channels": 3, "conv_clamp": None}
        >>> to_unit_range(state, config, "imagenet")["synthesis.b8.torgb.bias"]
        tensor([-0.0300, -0.0880, -0.1880])
    """
    if IMAGE_RANGES[image_range] is None:
        return state
    draws = any(name.startswith("synthesis.") for name in state)
    known = config["channels"] == 3 and (config["conv_clamp"] is None if draws else config["architecture"] != "skip")
    if not known:
        rule = "be unit for grey images, clamped generators and skip discriminators"
        raise InputError(f"`image_range` must {rule}, got {image_range!r}.")
    mean, deviation = (torch.tensor(values) for values in IMAGE_RANGES[image_range])
    scale, shift = 2 * deviation, 2 * mean - 1  # x in [-1, 1] is scale * normalised + shift
    return state | (_drawing if draws else _looking)(state, config["resolution"], scale, shift)


def _drawing(state: State, resolution: int, scale: Tensor, shift: Tensor) -> State:
    """Every layer to colours is scaled, the last one shifted: the image is their sum."""
    changed = {name: value * scale for name, value in state.items() if name.endswith("torgb.bias")}
    weights = [name for name in state if name.endswith("torgb.weight")]
    changed |= {name: state[name] * scale[:, None, None, None] for name in weights}
    last = f"synthesis.b{resolution}.torgb.bias"
    return changed | {last: changed[last] + shift}


def _looking(state: State, resolution: int, scale: Tensor, shift: Tensor) -> State:
    """The first layer undoes the change; planes of labels behind the colours stay."""
    weight, bias = state[f"b{resolution}.fromrgb.weight"], state[f"b{resolution}.fromrgb.bias"]
    colours = weight[:, :3] / scale[:, None, None]
    moved = (colours * shift[:, None, None]).sum((1, 2, 3)) / sqrt(weight.shape[1])
    return {
        f"b{resolution}.fromrgb.weight": torch.cat([colours, weight[:, 3:]], 1),
        f"b{resolution}.fromrgb.bias": bias - moved,
    }
