"""Describe your own classifier, so that everything here works with it.

NETWORK is a file of TorchScript (.pt), torch.export (.pt2) or ONNX (.onnx). OUT receives the description, and the
network is copied beside it; give OUT wherever a classifier is asked for. Black boxes (ONNX) have no gradients: the
searches that can do without them do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain adopt`."""

    network: Annotated[Positional[Path], arg(metavar="NETWORK")]
    """The exported network."""
    class_names: tuple[str, ...]
    """The classes, in the order of the data, which is that of the alphabet for folders."""
    out: Annotated[Path, arg(metavar="OUT")]
    """The description to write, say classifiers/mine.json."""
    outputs: tuple[str, ...] | None = None
    """The classes in the order of its outputs, where that is another; a single output speaks for the second of two."""
    resolution: int | None = None
    """Side in pixels to which images are resized before they enter the network; None shows them as they are."""
    channels: Literal[1, 3] = 3
    """Of your images: 3 for RGB, 1 for grey."""
    input_channels: Literal[1, 3] | None = None
    """Of what the network takes; None: as many. Grey images are then shown three times over."""
    mean: tuple[float, ...] = (0.0,)
    """Subtracted from values in [0, 1], one for all channels or one each. ImageNet's: 0.485 0.456 0.406."""
    deviation: tuple[float, ...] = (1.0,)
    """Divides them then. ImageNet's: 0.229 0.224 0.225. A network that takes [-1, 1]: mean 0.5 and deviation 0.5; one
    that takes 0 to 255: deviation 0.00392157."""
    channels_last: bool = False
    """The network takes (N, H, W, C), as those exported from Keras do."""
    output: Literal["logits", "probabilities"] | None = None
    """What it gives; found out unless it has one output."""

    def __call__(self) -> None:
        """Try the network on two images and write the description."""
        from histoxplain._checks import check
        from histoxplain.models import adopt_classifier, save_adopted

        check(self.out.suffix == ".json", "out", "end in .json", self.out)
        settings = {name: value for name, value in vars(self).items() if name not in ("network", "out")}
        classifier = adopt_classifier(self.network, **settings)
        print(f"{self.network} -> {save_adopted(self.out, classifier)}: gives {classifier.config.output}")
