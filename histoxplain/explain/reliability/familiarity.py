"""Is the image of the kind that the networks know? Its Mahalanobis distance to such images, in pretrained features.

After Lee et al., *A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks*
(NeurIPS 2018): features of several depths, one Gaussian a class with a covariance in common. Features are brought to
unit variance; their covariance is that of probabilistic principal components (Tipping & Bishop, 1999): the largest
axes, and one variance for all that is beyond them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain._checks import check
from histoxplain.explain.reliability.check import Check, unchecked
from histoxplain.explain.reliability.percentile import RARE, in_words, place

if TYPE_CHECKING:
    from histoxplain.models import FeatureNet, Reference

AXES = 64
"""Principal axes that are kept."""
NAME, QUESTION = "familiar", "Is the image of the kind that the networks know?"
PLAIN = 2.5 / 127.5
"""An image whose values lie closer together than this in every channel is of one colour: two grey levels of 256."""


DEPTHS = (0, 2, 4, 10, 15)
"""Blocks of EfficientNet-Lite0 whose maps count besides the last features: the last of each size."""
FEATURES = "efficientnet_lite0-imagenet at 6 depths"


@cache
def feature_net(device: str) -> FeatureNet:
    """The network that features are taken from, built once for each device."""
    from histoxplain.models import FeatureNet

    return FeatureNet().to(device)


@torch.no_grad()
def features_of(x: Tensor, batch: int = 32) -> Tensor:
    """Pretrained features of several depths of images `(N, C, H, W)` in `[-1, 1]`: `(N, 1792)`, float32 on the CPU."""
    net, pooled = feature_net(str(x.device)), []
    hooks = [
        net.network._blocks[depth].register_forward_hook(lambda _, __, maps: pooled.append(maps.mean((2, 3))))
        for depth in DEPTHS
    ]
    found = []
    try:
        for some in x.split(batch):
            last = net(some)
            found.append(torch.cat([*pooled, last], 1).float().cpu())
            pooled.clear()
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat(found)


def fit_gaussians(features: Tensor, labels: Sequence[int] | None = None, axes: int = AXES) -> dict[str, Tensor]:
    """One Gaussian a class with a covariance in common.

    Args:
        features: `(N, D)`, N at least 3.
        labels: class of each row; None, or any -1, takes all rows for one class.
        axes: how many principal axes to keep; fewer where there are few rows.

    Returns:
        `means (K, D)`, `scale (D,)`, `axes (r, D)`, `variances (r,)` and `rest ()`, float32, as in `Reference`.

    Example:
        >>> x = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> found = fit_gaussians(x, axes=1)
        >>> [round(value, 3) for value in found["scale"].tolist()], round(found["rest"].item(), 3)
        ([2.121, 0.707], 1.0)
    """
    check(features.ndim == 2 and len(features) > 2, "features", "be (N, D) of 3 images or more", tuple(features.shape))
    rows, width = features.double(), features.shape[1]
    classes = torch.as_tensor([0] * len(rows) if labels is None or min(labels) < 0 else list(labels))
    means = torch.stack([rows[classes == k].mean(0) for k in classes.unique()])
    centred = rows - means[torch.unique(classes, return_inverse=True)[1]]
    scale = centred.square().mean(0).sqrt()
    scale = scale.clamp_min(0.01 * float(scale.mean()) + 1e-12)
    centred = centred / scale
    kept = max(1, min(axes, width - 1, (len(rows) - len(means)) // 2))
    values, vectors = principal(centred)
    rest = (centred.square().sum() / len(rows) - values[:kept].sum()).clamp_min(1e-12) / (width - kept)
    found = {"means": means, "scale": scale, "axes": vectors[:kept], "variances": values[:kept], "rest": rest}
    return {name: tensor.float().contiguous() for name, tensor in found.items()}


def principal(centred: Tensor) -> tuple[Tensor, Tensor]:
    """Variances along the principal axes of centred rows `(N, D)`, falling, and the axes as rows; min(N, D) of them."""
    if len(centred) < centred.shape[1]:
        _, values, axes = torch.linalg.svd(centred, full_matrices=False)
        return (values.square() / len(centred)).clamp_min(1e-12), axes
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    return values.flip(0).clamp_min(1e-12), vectors.flip(1).T


def mahalanobis(
    features: Tensor, means: Tensor, scale: Tensor, axes: Tensor, variances: Tensor, rest: Tensor
) -> Tensor:
    """Distance to the nearest class mean, in standard deviations along each direction.

    Args:
        features: `(N, D)`.
        means: `(K, D)`.
        scale: what each feature is divided by first, `(D,)`.
        axes: `(r, D)`, orthonormal rows.
        variances: along them, of scaled features, `(r,)`.
        rest: along all other directions, `()`.

    Returns:
        `(N,)`, float32.

    Example:
        >>> means, scale, axes = torch.zeros(1, 2), torch.ones(2), torch.tensor([[1.0, 0.0]])
        >>> x, one = torch.tensor([[4.0, 3.0]]), torch.tensor(1.0)
        >>> round(mahalanobis(x, means, scale, axes, torch.tensor([4.0]), one).item() ** 2, 4)  # (4 / 2)^2 + 3^2
        13.0
    """
    away = (features[:, None].double() - means.double()) / scale.double()  # (N, K, D)
    along = away @ axes.double().T
    beyond = (away.square().sum(-1) - along.square().sum(-1)).clamp_min(0)
    squared = (along.square() / variances.double()).sum(-1) + beyond / rest.double()
    return squared.amin(1).sqrt().float()


def distances(features: Tensor, reference: Reference) -> Tensor:
    """Mahalanobis distances of features `(N, D)` to a bundle's reference, `(N,)`."""
    r = reference
    return mahalanobis(features, r.means, r.scale, r.axes, r.variances, r.rest)


def is_plain(x: Tensor) -> bool:
    """Whether an image `(C, H, W)` is of one colour throughout."""
    flat = x.flatten(1)
    return bool((flat.amax(1) - flat.amin(1)).max() <= PLAIN)


def check_familiar(x: Tensor, reference: Reference | None, drawn: bool = False) -> Check:
    """Whether an image `(C, H, W)` is of the kind that the networks know.

    Args:
        x: the image.
        reference: of the bundle; without it only an image of one colour is told.
        drawn: the generator drew it, so that it need not pass for a real one.
    """
    plain = ("the image is of a single colour and shows nothing",) if is_plain(x) else ()
    if reference is None:
        if plain:
            return Check(NAME, QUESTION, "no: it is of a single colour", plain)
        return unchecked(NAME, QUESTION, "the bundle has no reference images")
    figures = place(float(distances(features_of(x[None]), reference)[0]), reference.distances)
    words = in_words(figures, "further from them")
    strange = figures["percentile"] > RARE
    if drawn and not plain:
        return Check(NAME, QUESTION, f"drawn by the generator itself; {words}", figures=figures)
    doubts = plain or ((f"the image is unlike those that the networks know ({words})",) if strange else ())
    return Check(NAME, QUESTION, f"{'no' if doubts else 'yes'}: {words}", doubts, figures=figures)
