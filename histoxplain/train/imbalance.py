"""Rare classes: weigh them more, or show them more often."""

from __future__ import annotations

import torch
from torch import Tensor


def balanced_order(labels: Tensor, rng: torch.Generator) -> Tensor:
    """As many places as there are labels, every class equally often and none of its images twice before all were shown.

    Args:
        labels: class indices `(N,)`.
        rng: shuffles.

    Returns:
        Places `(N,)`; classes differ by one place at most.

    Example:
        >>> order = balanced_order(torch.tensor([0, 0, 0, 0, 0, 1]), torch.Generator().manual_seed(0))
        >>> sorted(order.tolist())[3:]
        [5, 5, 5]
    """
    classes = labels.unique()
    chosen = []
    for i, k in enumerate(classes):
        places = (labels == k).nonzero().flatten()
        wanted = len(labels) // len(classes) + (i < len(labels) % len(classes))
        rounds = [places[torch.randperm(len(places), generator=rng)] for _ in range(-(-wanted // len(places)))]
        chosen.append(torch.cat(rounds)[:wanted])
    order = torch.cat(chosen)
    return order[torch.randperm(len(order), generator=rng)]


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """Inverse frequencies `(classes,)`, whose mean over the images is 1."""
    counts = torch.bincount(labels, minlength=classes).float()
    return counts.sum() / (classes * counts)
