"""Losses of VisCoIN (Parekh et al., 2024) that need no image, and changes of concepts to learn from."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from histoxplain.metrics.concepts import map_correlation


def fidelity_loss(predicted: Tensor, opinion: Tensor) -> Tensor:
    """Cross-entropy of predicted logits `(N, classes)` with the softmax of a classifier's, mean over the batch.

    Example:
        >>> fidelity_loss(torch.zeros(2, 4), torch.zeros(2, 4)).exp()
        tensor(4.)
    """
    return F.cross_entropy(predicted, opinion.softmax(1))


def sparsity_loss(phi: Tensor) -> Tensor:
    """How many concepts share an image, and how strong they are.

    The L1 norm of each image's maxima `v (K,)` scaled to length 1, in parts of its largest value `sqrt(K)`, and the
    mean absolute activation.

    Args:
        phi: `(N, K, 3, 3)`.

    Example:
        >>> one = torch.tensor([1.0, 0.0, 0.0, 0.0]).reshape(1, 4, 1, 1)
        >>> sparsity_loss(one), sparsity_loss(torch.ones(1, 4, 1, 1))              # 1 / 2 + 1 / 4, and 1 + 1
        (tensor(0.7500), tensor(2.))
    """
    v = F.normalize(phi.amax((2, 3)), dim=1)
    return v.abs().sum(1).mean() / phi.shape[1] ** 0.5 + phi.abs().mean()


def orthogonality_loss(weight: Tensor) -> Tensor:
    """Mean squared cosine between the rows of `(K, D)`, K at least 2; 0 where each reads something else.

    Example:
        >>> orthogonality_loss(torch.eye(3)), orthogonality_loss(torch.ones(3, 2)).round(decimals=4)
        (tensor(0.), tensor(1.))
    """
    rows = F.normalize(weight.flatten(1), dim=1)
    count = len(rows)
    cosines = rows @ rows.T - torch.eye(count, device=weight.device)
    return cosines.square().sum() / (count * (count - 1))


def redundancy_loss(phi: Tensor) -> Tensor:
    """Mean squared correlation, over a batch, between maxima of different concepts: 0 where each has its own images.

    Args:
        phi: `(N, K, 3, 3)`, N and K at least 2; a concept that is equally strong in all counts as correlated with none.

    Example:
        >>> v = torch.tensor([[1.0, 1.0, 1.0], [-1.0, -1.0, 1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, -1.0]])
        >>> redundancy_loss(v[:, :, None, None])                                  # one pair of three is the same
        tensor(0.3333)
    """
    v = phi.amax((2, 3))
    v = F.normalize(v - v.mean(0), dim=0)
    k = v.shape[1]
    return (v.T @ v).square().fill_diagonal_(0).sum() / (k * (k - 1))


def place_loss(maps: Tensor, moved: Tensor) -> Tensor:
    """1 - correlation, over places within images, between maps and those of moved images, the mean over concepts.

    0 where a concept goes wherever what it is about goes; 1 where it stays in its place, or is everywhere alike.

    Args:
        maps, moved: `(N, K, h, w)`, of the same places of the same things; see `Move.same`.

    Example:
        >>> maps = torch.eye(2)[None, None]
        >>> place_loss(maps, 3 * maps), place_loss(maps, maps.flip(3)), place_loss(maps, torch.ones(1, 1, 2, 2))
        (tensor(0.), tensor(2.), tensor(1.))
    """
    return 1 - map_correlation(maps, moved).mean()


def changed_concepts(phi: Tensor, importance: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Concepts changed as people will change them: the most important removed, some scaled, or another image's.

    Args:
        phi: `(N, K, 3, 3)`.
        importance: of each concept for the class that the image is given, `(N, K)`.
        generator: source of chance.

    Returns:
        `(N, K, 3, 3)`: of each image one of the three, by chance.
    """
    n, k = importance.shape
    chance = {"generator": generator, "device": phi.device}
    place = importance.argsort(1, descending=True).argsort(1)
    removed = place >= torch.randint(1, k // 2 + 1, (n, 1), **chance)
    share = torch.rand(n, 1, **chance)
    scaled = torch.randint(0, 4, (n, k), **chance).float().where(torch.rand(n, k, **chance) < share, torch.ones(()))
    kind = torch.randint(3, (n, 1, 1, 1), **chance)
    others = phi[torch.randperm(n, **chance)]
    by_factor = phi * torch.where(kind[:, 0, :, 0] == 0, removed, scaled)[..., None, None]
    return torch.where(kind == 2, others, by_factor)
