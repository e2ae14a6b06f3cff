"""Somebody's own classifier in the place of ours: any network, exported file or function that gives class scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain._checks import InputError, check, check_at_least, check_images, check_one_of
from histoxplain.models.exported import open_exported

_LEAST = 1e-7
"""Probability of a class that is given none: its logit stays finite."""


@dataclass(frozen=True, kw_only=True)
class AdoptedConfig:
    """What an adopted network wants to be shown, and what it answers."""

    class_names: tuple[str, ...]
    """The classes, in the order of the data; that of the network's outputs, unless `outputs` says another."""
    outputs: tuple[str, ...] | None = None
    """The same classes in the order of the network's outputs, of which a single one speaks for the second of two;
    None: that of `class_names`."""
    resolution: int | None = None
    """Side in pixels to which images are resized before they enter the network; None shows them as they are."""
    channels: int = 3
    """Of the images: 3 for RGB, 1 for grey."""
    input_channels: int | None = None
    """Of what the network takes; None: as many. Grey images are shown three times over, RGB ones as their mean."""
    mean: tuple[float, ...] = (0.0,)
    """Subtracted from values in `[0, 1]`, one for all channels or one each. ImageNet's: .485 .456 .406."""
    deviation: tuple[float, ...] = (1.0,)
    """Divides them then. ImageNet's: .229 .224 .225. For networks that take `[-1, 1]`: mean .5 and deviation .5; for
    `[0, 255]`: deviation 0.00392157."""
    channels_last: bool = False
    """Whether the network takes `(N, H, W, C)`, as those exported from Keras do."""
    output: Literal["logits", "probabilities"] | None = None
    """What the network gives; None finds out, unless it has one output: probabilities are positive and sum to 1."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        count = len(self.class_names)
        check(count >= 2, "class_names", "name at least 2 classes", count)
        check(len(set(self.class_names)) == count, "class_names", "differ from each other", self.class_names)
        if self.outputs is not None:
            object.__setattr__(self, "outputs", tuple(self.outputs))
            same = sorted(self.outputs) == sorted(self.class_names)
            check(same, "outputs", f"name the classes {', '.join(self.class_names)}", ", ".join(self.outputs))
        check_one_of("channels", self.channels, (1, 3))
        check_one_of("input_channels", self.shown_channels, (1, 3))
        if self.resolution is not None:
            check_at_least("resolution", self.resolution, 1)
        for name in ("mean", "deviation"):
            values = tuple(float(value) for value in getattr(self, name))
            object.__setattr__(self, name, values)
            check(
                len(values) in (1, self.shown_channels), name, f"hold 1 or {self.shown_channels} numbers", len(values)
            )
        check(all(value > 0 for value in self.deviation), "deviation", "be above 0", self.deviation)
        check_one_of("output", self.output, (None, "logits", "probabilities"))

    @property
    def architecture(self) -> str:
        """What checkpoints call a network that is not ours."""
        return "adopted"

    @property
    def shown_channels(self) -> int:
        """Channels of what the network takes."""
        return self.channels if self.input_channels is None else self.input_channels


class AdoptedClassifier(nn.Module):
    """Somebody's network with the preprocessing it was trained with: whatever takes a `Classifier` takes this one.

    Gradients pass through modules of PyTorch, TorchScript and `torch.export`; ONNX files and functions are black boxes,
    for which searches do without gradients.

    Args:
        network: takes images as `config` says, gives `(N, K)` numbers, or `(N, 1)` or `(N,)` for two classes; tuples
            and records with `logits` are understood.
        config: what it wants and gives; `output` must be known, see `adopt_classifier`.
        path: the file it came from, if it came from one.
    """

    temperature: Tensor

    def __init__(self, network: Callable[[Tensor], Any], config: AdoptedConfig, path: Path | None = None) -> None:
        super().__init__()
        self.config, self.path = config, path
        self.network = network if isinstance(network, nn.Module) else _Called(network)
        self.register_buffer("mean", torch.tensor(config.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(config.deviation).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("temperature", torch.ones(()), persistent=False)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the logits that this gives."""
        return self.config.class_names

    @property
    def resolution(self) -> int | None:
        """Side in pixels at which the network looks at images; None where it takes any."""
        return self.config.resolution

    @property
    def channels(self) -> int:
        """Channels of the images it takes: 3 (RGB) or 1 (grey)."""
        return self.config.channels

    def preprocess(self, x: Tensor) -> Tensor:
        """Resize and normalise: `(N, C, H, W)` in `[-1, 1]` to what the network takes."""
        side = self.resolution
        if side is not None and x.shape[-2:] != (side, side):
            x = F.interpolate(x, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
        shown = self.config.shown_channels
        if shown != self.channels:
            x = x.expand(-1, 3, -1, -1) if shown == 3 else x.mean(1, keepdim=True)
        x = ((x + 1) / 2 - self.mean) / self.deviation
        return x.permute(0, 2, 3, 1).contiguous() if self.config.channels_last else x

    def forward(self, x: Tensor) -> Tensor:
        """Logits.

        Args:
            x: images `(N, C, H, W)` in `[-1, 1]`, of any size, with `self.channels` channels.

        Returns:
            Logits `(N, K)`, float32; of networks that give probabilities, their logarithm.

        Raises:
            InputError: if `x` has another shape, type or number of channels, or the network gives no K numbers.
        """
        check_images("x", x, self.channels)
        found = self.scores(x)
        likely = self.config.output == "probabilities"
        if found.shape[1] == 1:
            found = torch.cat([1 - found if likely else torch.zeros_like(found), found], 1)
        if self.config.outputs is not None:
            found = found[:, [self.config.outputs.index(name) for name in self.class_names]]
        return found.clamp(_LEAST, 1).log() if likely else found

    def probabilities(self, x: Tensor) -> Tensor:
        """Softmax of the logits: `(N, K)`, rows sum to 1."""
        return self(x).softmax(dim=1)

    def scores(self, x: Tensor) -> Tensor:
        """What the network says of images, float32: a number for each class, `(N, K)`, or one of two, `(N, 1)`.

        It is asked in the precision it came with, also where training computes in another: TorchScript's gradients
        would not bear that.
        """
        with torch.autocast(x.device.type, enabled=False):
            found = _numbers(self.network(self.preprocess(x.float())))
        if found.ndim == 1:
            found = found[:, None]
        count = len(self.class_names)
        fits = (
            found.ndim == 2 and len(found) == len(x) and (found.shape[1] == count or (count, found.shape[1]) == (2, 1))
        )
        way_out = "name the classes in the order of its outputs"
        check(fits, "network", f"give {count} numbers an image, one a class", tuple(found.shape), way_out)
        return found.float()


def adopt_classifier(
    network: nn.Module | Callable[[Tensor], Any] | str | Path, class_names: tuple[str, ...], **settings: Any
) -> AdoptedClassifier:
    """Make somebody's own network a classifier that everything here explains.

    Args:
        network: a module of PyTorch, a file of TorchScript (.pt), `torch.export` (.pt2) or ONNX (.onnx), or a function
            of a tensor.
        class_names: the classes, in the order of its outputs; or in that of the data, with `outputs`.
        settings: the other fields of `AdoptedConfig`.

    Returns:
        The classifier, in evaluation mode, its weights not asking for gradients. It was asked about two images: that
        it takes them, gives finite numbers, and which kind.

    Raises:
        InputError: if it does not, or the settings are not possible.
        ImportError: if an ONNX file is given and onnxruntime is not installed.

    Example:
        >>> redness = lambda x: x[:, 0].mean((1, 2))  # one number an image: the probability of the second class
        >>> classifier = adopt_classifier(redness, ("pale", "red"), output="probabilities")
        >>> classifier.probabilities(torch.tensor([1.0, -1, -1]).view(1, 3, 1, 1)).round(decimals=2).tolist()
        [[0.0, 1.0]]
    """
    config = AdoptedConfig(class_names=tuple(class_names), **settings)
    path = Path(network) if isinstance(network, str | Path) else None
    opened = open_exported(path) if path is not None else network
    classifier = AdoptedClassifier(opened, replace(config, output=config.output or "logits"), path)
    classifier.eval().requires_grad_(False)
    x = _probes(config)
    try:
        with torch.no_grad():
            found = classifier.scores(x)
    except InputError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        shape = tuple(classifier.preprocess(x).shape)
        raise InputError(
            f"`network` must take images of shape {shape}, got {reason}; see `resolution` and `input_channels`."
        ) from error
    check(bool(found.isfinite().all()), "network", "give finite numbers", "NaN or infinity", "see `mean`, `deviation`")
    if config.output is None:
        rule = 'be "logits" or "probabilities" for a network with one output'
        check(found.shape[1] > 1, "output", rule, None, "a sigmoid at its end gives probabilities")
        likely = bool((found >= 0).all() and ((found.sum(1) - 1).abs() < 1e-3).all())
        classifier.config = replace(config, output="probabilities" if likely else "logits")
    return classifier


def describe_adopted(classifier: AdoptedClassifier) -> dict[str, Any]:
    """The settings that adopt the same network again, as JSON takes them."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(classifier.config).items()}


class _Called(nn.Module):
    """A function as a module without weights."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def _numbers(found: Any) -> Tensor:
    """The scores in what a network gives: a tensor, an array, or the first or the `logits` of several things."""
    for name in ("logits", "out"):
        found = found.get(name, found) if isinstance(found, dict) else getattr(found, name, found)
    if isinstance(found, tuple | list) and found and not isinstance(found[0], float | int):
        found = found[0]
    try:
        return torch.as_tensor(found)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"`network` must give scores, got {type(found).__name__}.") from error


def _probes(config: AdoptedConfig) -> Tensor:
    """Two images of noise, light and dark."""
    side = config.resolution or 64
    draw = torch.rand((2, config.channels, side, side), generator=torch.Generator().manual_seed(0))
    return draw * torch.tensor([1.0, 0.3]).view(2, 1, 1, 1) * 2 - 1
