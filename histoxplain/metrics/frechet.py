"""Fréchet distance between two sets of features (Heusel et al., 2017, arXiv:1706.08500)."""

from __future__ import annotations

import torch
from torch import Tensor

from histoxplain._checks import check


def mean_and_covariance(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean `(D,)` and biased covariance (divided by N) `(D, D)` of features `(N, D)`, in float64.

    Example:
        >>> mean_and_covariance(torch.tensor([[0.0], [2.0]]))
        (tensor([1.], dtype=torch.float64), tensor([[1.]], dtype=torch.float64))
    """
    features = features.double()
    mean = features.mean(dim=0)
    centred = features - mean
    return mean, centred.T @ centred / len(features)


def gaussian_distance(mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor) -> float:
    """Squared Fréchet distance between two Gaussians: `|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))`.

    The trace of the root is the sum of the roots of the eigenvalues of `C_a^(1/2) C_b C_a^(1/2)`, which is symmetric;
    no imaginary part can arise.

    Args:
        mean_a, mean_b: `(D,)`.
        covariance_a, covariance_b: `(D, D)`, symmetric, not negative.

    Returns:
        A number >= 0; 0 for equal Gaussians.

    Example:
        >>> zero, one = torch.zeros(1), torch.eye(1)
        >>> gaussian_distance(zero, one, zero + 3, 4 * one)       # 3^2 + (1 - 2)^2
        10.0
    """
    mean_a, covariance_a, mean_b, covariance_b = (t.double() for t in (mean_a, covariance_a, mean_b, covariance_b))
    values, vectors = torch.linalg.eigh(covariance_a)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    product = torch.linalg.eigvalsh(root @ covariance_b @ root).clamp(min=0).sqrt().sum()
    spread = covariance_a.trace() + covariance_b.trace() - 2 * product
    return ((mean_a - mean_b).square().sum() + spread).clamp(min=0).item()


def frechet_distance(real_features: Tensor, fake_features: Tensor) -> float:
    """Fréchet distance between two sets of features, each taken for a Gaussian with biased covariance (1/N).

    Call it by the features it was measured in: in Inception features it is the FID. It falls with the number of
    images, so compare sets of equal size, and report the distance of two disjoint real sets beside it.

    Args:
        real_features, fake_features: `(N, D)` and `(M, D)`, any floating type; computed in float64.

    Returns:
        A number >= 0; lower is better.

    Raises:
        InputError: if a set has fewer than two rows or the widths differ.

    Example:
        >>> x = torch.tensor([[-1.0], [1.0]])
        >>> frechet_distance(x, 2 * x + 3)
        10.0
    """
    check_features(real_features, fake_features)
    return gaussian_distance(*mean_and_covariance(real_features), *mean_and_covariance(fake_features))


def check_features(real_features: Tensor, fake_features: Tensor, least: int = 2) -> None:
    """Both must be `(N, D)` with the same D and at least `least` rows."""
    for name, features in (("real_features", real_features), ("fake_features", fake_features)):
        check(features.ndim == 2, name, "have shape (N, D)", tuple(features.shape))
        check(len(features) >= least, name, f"have at least {least} rows", len(features), "use more images")
    width, other = real_features.shape[1], fake_features.shape[1]
    check(width == other, "fake_features", f"have {width} columns like the real ones", other)
