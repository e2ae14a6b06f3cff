"""Named features: what distances between image sets are measured in.

`efficientnet_lite0-imagenet`: the 1280 pooled activations before the classification layer of EfficientNet-Lite0 with
its ImageNet weights, of images resized to 128 x 128 pixels (bilinear, antialiased). The weights come with the package,
so the numbers need no download; they are not comparable with those in Inception features.

`inception_v3-fid`, `inception_v3-fid-clean`: the features of the published FIDs; see `histoxplain.metrics.inception`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from histoxplain._checks import check, check_one_of
from histoxplain.metrics.inception import INCEPTION, RESIZES, InceptionNet
from histoxplain.models.features import FEATURES, FeatureNet


@cache
def feature_net(name: str = FEATURES, device: str = "cpu") -> FeatureNet | InceptionNet:
    """The feature network of that name, built once for each device.

    Args:
        name: `FEATURES`, which comes with the package, or "inception_v3-fid" or "inception_v3-fid-clean", whose
            weights are fetched (95 MB) the first time.
        device: where it computes.

    Raises:
        InputError: if there is none of that name, or its weights cannot be fetched; the message then says what to fetch
            by hand and where to put it. No other features are taken in its place.
    """
    check_one_of("features", name, [FEATURES, *RESIZES])
    return (FeatureNet() if name == FEATURES else InceptionNet(name)).to(device)


def best_features() -> str:
    """The name of the best features that this machine has: Inception's where its weights are, else `FEATURES`.

    Nothing is fetched; `feature_net("inception_v3-fid")` does that.
    """
    from histoxplain.metrics.inception_weights import find_weights

    return FEATURES if find_weights() is None else INCEPTION


@dataclass(frozen=True)
class FeatureSpace:
    """What features are: the network, and how images come to its size. Distances compare only within one space.

    Example:
        >>> print(FeatureSpace("inception_v3-fid", "299 px, bicubic, antialiased", 2048))
        inception_v3-fid features (299 px, bicubic, antialiased)
    """

    name: str
    resize: str
    dimensions: int

    def __str__(self) -> str:
        return f"{self.name} features ({self.resize})"


@torch.no_grad()
def extract_features(
    images: Tensor | Iterable[Tensor], net: Callable[[Tensor], Tensor] | None = None, batch: int = 32
) -> Tensor:
    """Features of many images, batch by batch.

    All of them are held, and nothing tells in which features they are; `gather_features` is for large or named sets.

    Args:
        images: one tensor `(N, C, H, W)` in `[-1, 1]`, or an iterable of such batches (a generator that streams).
        net: images to features `(n, D)`; `feature_net()` by default.
        batch: images at once, where `images` is a tensor.

    Returns:
        Features `(N, D)`, float32 on the CPU.

    Raises:
        InputError: if there is no image.

    Example:
        >>> extract_features(torch.zeros(3, 3, 64, 64)).shape
        torch.Size([3, 1280])
    """
    batches = images.split(batch) if isinstance(images, Tensor) else images
    found = [(net or feature_net(device=str(x.device)))(x).float().cpu() for x in batches if len(x)]
    check(bool(found), "images", "hold at least one image", 0)
    return torch.cat(found)
