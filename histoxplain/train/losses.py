"""Losses of StyleGAN2: non-saturating logistic, R1 and path length."""

from __future__ import annotations

from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Non-saturating logistic loss of the generator (Goodfellow et al., 2014), mean over the batch.

    Example:
        >>> generator_loss(torch.zeros(2, 1))
        tensor(0.6931)
    """
    return F.softplus(-fake_logits).mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Logistic loss of the discriminator, mean over the batch.

    Example:
        >>> discriminator_loss(torch.zeros(2, 1), torch.zeros(2, 1))
        tensor(1.3863)
    """
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def r1_penalty(real: Tensor, real_logits: Tensor) -> Tensor:
    """Squared gradient of the logit with respect to each real image (Mescheder et al., 2018), shape `(N,)`.

    Args:
        real: images `(N, C, H, W)` that require a gradient.
        real_logits: the discriminator's opinion of them.

    Example:
        >>> x = torch.ones(1, 1, 2, 2, requires_grad=True)
        >>> r1_penalty(x, (3 * x).sum())
        tensor([36.])
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
    return gradient.float().square().sum([1, 2, 3])


def layout_correlation(images: Tensor, side: int = 16) -> Tensor:
    """How alike the layouts of a batch are: the mean squared correlation of brightness between different images.

    Independent images give nearly 0, one layout in many colours 1. A young StyleGAN varies colour long before it
    varies layout; this term makes it vary both.

    Args:
        images: `(N, C, H, W)`, N at least 2.
        side: images are compared at this size at most, in pixels.

    Example:
        >>> stripes = torch.tensor([[1.0, -1.0], [1.0, -1.0]]).expand(3, 1, 2, 2)
        >>> layout_correlation(stripes), layout_correlation(torch.stack([stripes[0], stripes[0].mT]))
        (tensor(1.), tensor(0.))
    """
    x = images.float().mean(1, keepdim=True)
    x = F.avg_pool2d(x, max(x.shape[-1] // side, 1)).flatten(1)
    x = F.normalize(x - x.mean(1, keepdim=True), dim=1)
    n = len(x)
    return ((x @ x.T).square().sum() - n) / (n * (n - 1))


def reconstruction_loss(images: Tensor, real: Tensor, octaves: int = 4) -> Tensor:
    """Mean absolute difference over a pyramid of halved images, mean over the batch.

    Args:
        images, real: `(N, C, H, W)`.
        octaves: sizes that are compared: full, half, quarter, ...

    Example:
        >>> reconstruction_loss(torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8))
        tensor(1.)
    """
    difference = images.float() - real
    parts = [F.avg_pool2d(difference, 2**octave).abs().mean() for octave in range(octaves)]
    return torch.stack(parts).mean()


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """How differently two samples are distributed, 0 in expectation if they are alike (Szekely and Rizzo, 2013).

    Args:
        x, y: `(N, D)` and `(M, D)`, two rows or more each.

    Example:
        >>> energy_distance(torch.zeros(3, 1), torch.ones(2, 1))
        tensor(2.)
    """
    n, m = len(x), len(y)
    within = torch.cdist(x, x).sum() / (n * (n - 1)) + torch.cdist(y, y).sum() / (m * (m - 1))
    return 2 * torch.cdist(x, y).mean() - within


def path_lengths(images: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """How far an image moves when w does (Karras et al., 2020), shape `(N,)`.

    Args:
        images: `(N, C, H, W)`, made from `ws`.
        ws: latents `(N, num_ws, w_dim)` that require a gradient.
        noise: standard normal, like `images`.
    """
    direction = noise / sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad((images * direction).sum(), ws, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()


def path_length_penalty(
    lengths: Tensor, mean: Tensor, decay: float = 0.01, average: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Squared distance of path lengths from their running mean.

    Args:
        lengths: of `path_lengths`, shape `(N,)`.
        mean: running mean so far, a scalar.
        decay: how fast the mean moves.
        average: the mean length, where `lengths` are only some of the step's; by default theirs.

    Returns:
        The penalty `(N,)`, whose gradient flows through the moved mean too, and the moved mean.

    Example:
        >>> path_length_penalty(torch.tensor([2.0]), torch.tensor(0.0))
        (tensor([3.9204]), tensor(0.0200))
    """
    moved = mean.lerp(lengths.mean() if average is None else average, decay)
    return (lengths - moved).square(), moved.detach()
