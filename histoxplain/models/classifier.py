"""Image classifiers that own their preprocessing: `[-1, 1]` images of any size in, calibrated logits out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain._checks import InputError, check, check_at_least, check_images, check_one_of
from histoxplain.models.architectures import (
    LITE,
    STACK,
    build_network,
    check_architecture,
    normalisation,
    preprocessing,
)
from histoxplain.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from histoxplain.models.ensemble import StackedNetwork
from histoxplain.models.exported import check_not_exported

if TYPE_CHECKING:
    from histoxplain.models.adopted import AdoptedClassifier
    from histoxplain.models.vote import Vote

KIND = "classifier"


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """Everything that rebuilds a classifier, except its weights."""

    class_names: tuple[str, ...]
    """The classes, in the order of the logits; two or more."""
    architecture: str = LITE
    """`efficientnet_lite0`, any classification network of torchvision by its name there (`resnet18`), `xception` or
    `timm:NAME` with the extra `timm`, or a stacked ensemble of such trunks (`mobilenet_v2+densenet169`)."""
    resolution: int | None = None
    """Side in pixels to which images are resized inside, before they enter the network; by default what its authors
    show it (224 for most, 240 for `efficientnet_b1`, 299 for `inception_v3`, 600 for `efficientnet_b7`)."""
    channels: int = 3
    """3 for RGB images, 1 for grey ones."""
    pretrained: bool | None = False
    """Start from ImageNet weights, which are downloaded; those of `efficientnet_lite0` are installed. None takes only
    what is installed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        count = len(self.class_names)
        check(count >= 2, "class_names", "name at least 2 classes", count, "put each class in a folder of its own")
        check(len(set(self.class_names)) == count, "class_names", "differ from each other", self.class_names)
        check_architecture(self.architecture)
        check_one_of("channels", self.channels, (1, 3))
        if self.resolution is None:
            object.__setattr__(self, "resolution", preprocessing(self.architecture).resolution)
        check_at_least("resolution", self.resolution, 16)


class Classifier(nn.Module):
    """A network together with its preprocessing and its calibrated temperature.

    Images are resized (antialiased, to a square, bilinear or bicubic as the architecture was made with) and normalised
    inside, differentiably, so that a generator's output goes straight in. Nothing is cropped away: a lesion may lie at
    the edge. Grey images are shown to the network three times over.

    Args:
        config: what to build; with `config.pretrained` the network starts from ImageNet weights.

    Raises:
        InputError: if the architecture cannot be built for the resolution, or weights cannot be downloaded.
        ImportError: if the architecture needs timm and it is not installed.
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
            way = preprocessing(self.config.architecture).interpolation
            x = F.interpolate(x, size=size, mode=way, antialias=True, align_corners=False)
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


def _build(config: ClassifierConfig) -> nn.Module:
    classes, trunks = len(config.class_names), config.architecture.split(STACK)
    if len(trunks) > 1:
        return StackedNetwork(trunks, classes, config.resolution, config.pretrained)
    return build_network(config.architecture, classes, config.resolution, config.pretrained)


def save_classifier(path: str | Path, classifier: Classifier | Vote, meta: Mapping[str, Any] | None = None) -> Path:
    """Write a classifier, or several that vote, to a safetensors file; `meta` may hold figures, the data's licence."""
    votes = not isinstance(classifier, Classifier)
    kind, config = ("vote", classifier.description()) if votes else (KIND, asdict(classifier.config))
    return save_checkpoint(path, classifier.state_dict(), kind=kind, config=config, meta=meta)


def load_classifier(path: str | Path) -> Classifier | Vote | AdoptedClassifier:
    """Read a classifier, ready to use: in evaluation mode, on the CPU, its weights not asking for gradients.

    Args:
        path: a checkpoint of ours (.safetensors), or the description of somebody's own network (.json) that
            `save_adopted` or `histoxplain adopt` wrote.

    Returns:
        A `Classifier`, the `Vote` that was saved, or an `AdoptedClassifier`.

    Raises:
        InputError: if the file is missing, damaged, or holds something else.
    """
    if Path(path).suffix == ".json":
        from histoxplain.models.adopted_file import load_adopted

        return load_adopted(path)
    check_not_exported(path)
    checkpoint = load_checkpoint(path)
    if checkpoint.kind not in (KIND, "vote"):
        raise InputError(f"`path` must be a checkpoint of kind {KIND}, got {path} of kind {checkpoint.kind}.")
    try:
        with torch.random.fork_rng([]):  # loading draws no random numbers of the caller's
            classifier = _rebuild(checkpoint)
        classifier.load_state_dict(checkpoint.state)
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"`path` must hold a whole classifier, got {path} ({reason}); train it again.") from error
    return classifier.eval().requires_grad_(False)


def _rebuild(checkpoint: Checkpoint) -> Classifier | Vote:
    if checkpoint.kind == KIND:
        return Classifier(ClassifierConfig(**{**checkpoint.config, "pretrained": False}))
    from histoxplain.models.vote import rebuild

    return rebuild(checkpoint.config)
