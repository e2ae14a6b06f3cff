"""The stages of a classifier: the last feature maps it makes at each size, whatever its architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isqrt
from typing import NamedTuple

import torch
from torch import Tensor, nn

from histoxplain._checks import InputError, check

MOST = 3
"""Stages that are looked at, the smallest maps."""


class Stage(NamedTuple):
    """A layer of a classifier whose output is a map of the image, `(N, channels, side, side)`."""

    name: str
    """As `classifier.named_modules()` says it."""
    channels: int
    side: int


def find_stages(classifier: nn.Module, most: int = MOST, size: int | None = None) -> tuple[Stage, ...]:
    """The last block of a classifier at each size of its maps; the three smallest sizes, finest first.

    A block is a module made of others; where none makes maps of a size, its last single layer does. Of a ResNet-50
    these are `layer2`, `layer3` and `layer4`, as published.

    Args:
        classifier: with `channels` and `resolution`.
        most: so many stages at most.
        size: side of the images that it will see, in pixels; by default its own `resolution`.

    Raises:
        InputError: if it is no network, or makes no maps.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 5, 2, stride=2), nn.ReLU(), nn.Conv2d(5, 7, 2, stride=2))
        >>> network.channels, network.resolution = 3, 16
        >>> find_stages(network)
        (Stage(name='1', channels=5, side=8), Stage(name='2', channels=7, side=4))
    """
    way_out = "take one with convolutions that are PyTorch modules"
    check(isinstance(classifier, nn.Module), "classifier", "be a network", type(classifier).__name__, way_out)
    size = classifier.resolution if size is None else size
    found: dict[int, tuple[bool, Stage]] = {}

    def noting(name: str, block: bool) -> Callable[..., None]:
        def note(_: nn.Module, __: object, output: object) -> None:
            maps = as_map(output)
            if maps is not None and (block or not found.get(maps.shape[2], (False, None))[0]):
                found[maps.shape[2]] = block, Stage(name, *maps.shape[1:3])

        return note

    parts = [(name, part) for name, part in classifier.named_modules() if name]
    hooks = [part.register_forward_hook(noting(name, any(True for _ in part.children()))) for name, part in parts]
    weight = next(classifier.parameters(), torch.zeros(()))
    try:
        with torch.no_grad():
            classifier(weight.new_zeros(1, classifier.channels, size, size))
    finally:
        for hook in hooks:
            hook.remove()
    check(bool(found), "classifier", "make maps `(N, C, H, W)` of an image on its way", "none", way_out)
    return tuple(found[side][1] for side in sorted(found)[:most][::-1])


def as_map(output: object) -> Tensor | None:
    """A layer's output as square maps `(N, C, side, side)` with more than one place, or None if it is something else.

    Understands `(N, C, h, w)`, `(N, h, w, C)` as in Swin transformers, and `(N, tokens, C)` as in vision transformers,
    whose class token, if there is one, comes first and is left out.

    Example:
        >>> as_map(torch.zeros(1, 7, 7, 96)).shape, as_map(torch.zeros(1, 197, 64)).shape
        (torch.Size([1, 96, 7, 7]), torch.Size([1, 64, 14, 14]))
    """
    if not isinstance(output, Tensor) or not output.is_floating_point() or output.ndim not in (3, 4):
        return None
    if output.ndim == 3:
        side = isqrt(output.shape[1])
        extra = output.shape[1] - side**2
        return output[:, extra:].mT.unflatten(2, (side, side)) if extra in (0, 1) and side > 1 else None
    if output.shape[2] == output.shape[3] > 1:
        return output
    return output.movedim(3, 1) if output.shape[1] == output.shape[2] > 1 else None


def stage_maps(classifier: nn.Module, x: Tensor, stages: Sequence[tuple[str, int]]) -> tuple[Tensor, list[Tensor]]:
    """Logits of images, and the maps of some stages from the same pass.

    Args:
        classifier: the network.
        x: images `(N, C, H, W)` in [-1, 1].
        stages: name and channels of each; a layer used more than once gives its last output of so many channels.

    Returns:
        Logits `(N, classes)` and maps `(N, channels, h, w)`, one of each stage.

    Raises:
        InputError: if the classifier has no such layers.
    """
    seen: dict[int, Tensor] = {}

    def keeping(place: int, channels: int) -> Callable[..., None]:
        def keep(_: nn.Module, __: object, output: object) -> None:
            maps = as_map(output)
            if maps is not None and maps.shape[1] == channels:
                seen[place] = maps

        return keep

    hooks = []
    try:
        for place, (name, channels) in enumerate(stages):
            hooks.append(_layer(classifier, name).register_forward_hook(keeping(place, channels)))
        logits = classifier(x)
    finally:
        for hook in hooks:
            hook.remove()
    missing = [name for place, (name, _) in enumerate(stages) if place not in seen]
    way_out = "take the classifier that the concepts were trained for"
    check(not missing, "classifier", "make the maps that concepts are read from", f"none at {missing}", way_out)
    return logits, [seen[place] for place in range(len(stages))]


def _layer(classifier: nn.Module, name: str) -> nn.Module:
    try:
        return classifier.get_submodule(name)
    except AttributeError:
        raise InputError(
            f"`classifier` must have the layer {name!r} that concepts are read from, got one without; "
            "take the classifier that the concepts were trained for."
        ) from None
