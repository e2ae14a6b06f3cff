"""Kernel distance between two sets of features (KID: Bińkowski et al., 2018, arXiv:1801.01401)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from histoxplain._checks import check
from histoxplain.metrics.distance import Distance
from histoxplain.metrics.feature_set import FeatureSet, shared_space
from histoxplain.metrics.frechet import check_features

MEASURE = "kernel distance, (x.y / D + 1)^3, unbiased"


def polynomial_mmd(a: Tensor, b: Tensor) -> Tensor:
    """Unbiased squared maximum mean discrepancy with the kernel `k(x, y) = (x.y / D + 1)^3`.

    `(sum_{i≠j} k(a_i, a_j) + sum_{i≠j} k(b_i, b_j)) / (n (n - 1)) - 2 mean_{ij} k(a_i, b_j)`.

    Args:
        a, b: features `(n, D)` each, the same n.

    Returns:
        A float64 scalar; about 0 for equal distributions, sometimes slightly negative.

    Example:
        >>> a, b = torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [1.0]])
        >>> polynomial_mmd(a, b).item()                           # 1 + 8 - 2
        7.0
    """
    a, b = a.double(), b.double()
    n, width = a.shape
    within = (a @ a.T / width + 1) ** 3 + (b @ b.T / width + 1) ** 3
    between = (a @ b.T / width + 1) ** 3
    return (within.sum() - within.diagonal().sum()) / (n * (n - 1)) - 2 * between.mean()


def kernel_distance(
    real_features: Tensor | FeatureSet,
    fake_features: Tensor | FeatureSet,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> float:
    """Mean of `polynomial_mmd` over random subsets; unlike the Fréchet distance it is unbiased in the number of images.

    Args:
        real_features, fake_features: `(N, D)` and `(M, D)`; computed in float64. Or two feature sets of
            `gather_features(..., keep=...)`, in the same space; subsets are drawn from the rows they hold.
        subsets: how many subsets.
        subset_size: images a subset, cut down to the smaller set.
        seed: of the subsets (drawn as the reference implementation does: first the fake ones, then the real ones).

    Returns:
        A number, about 0 for equal distributions; lower is better. It is the squared discrepancy as it is, not times
        1000 as some papers print it. Of feature sets it is a `Distance`, which knows what it was measured in.

    Raises:
        InputError: if a set has fewer than two rows, the widths differ, or the features are not the same.

    Example:
        >>> kernel_distance(torch.zeros(2, 1), torch.ones(2, 1), subsets=1)
        7.0
    """
    space = shared_space(real_features, fake_features)
    real, fake = _rows(real_features), _rows(fake_features)
    check_features(real, fake)
    size = min(len(real), len(fake), subset_size)
    rng = np.random.RandomState(seed)  # what the reference draws with
    total = torch.zeros((), dtype=torch.float64)
    for _ in range(subsets):
        some_fake = fake[torch.from_numpy(rng.choice(len(fake), size, replace=False))]
        some_real = real[torch.from_numpy(rng.choice(len(real), size, replace=False))]
        total += polynomial_mmd(some_fake, some_real)
    value = (total / subsets).item()
    return value if space is None else Distance(value, MEASURE, space, len(real), len(fake))


def _rows(features: Tensor | FeatureSet) -> Tensor:
    """The features themselves."""
    if not isinstance(features, FeatureSet):
        return features
    check(features.keep > 1, "keep", "be at least 2 for the kernel distance", features.keep, "keep 1000 rows or more")
    return features.rows
