"""Fréchet distance between two sets of features (Heusel et al., 2017, arXiv:1706.08500)."""

from __future__ import annotations

import torch
from torch import Tensor

from histoxplain._checks import check, check_one_of
from histoxplain.metrics.distance import Distance
from histoxplain.metrics.feature_set import FeatureSet, shared_space


def mean_and_covariance(features: Tensor | FeatureSet, correction: int = 0) -> tuple[Tensor, Tensor]:
    """Mean `(D,)` and covariance (divided by N - correction) `(D, D)` of features `(N, D)`, in float64.

    Example:
        >>> mean_and_covariance(torch.tensor([[0.0], [2.0]]))
        (tensor([1.], dtype=torch.float64), tensor([[1.]], dtype=torch.float64))
    """
    if isinstance(features, FeatureSet):
        return features.mean, features.covariance(correction)
    features = features.double()
    mean = features.mean(dim=0)
    centred = features - mean
    return mean, centred.T @ centred / (len(features) - correction)


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


def frechet_distance(
    real_features: Tensor | FeatureSet, fake_features: Tensor | FeatureSet, *, correction: int = 0
) -> float:
    """Fréchet distance between two sets of features, each taken for a Gaussian.

    Call it by the features it was measured in: in Inception features it is the FID. It falls with the number of
    images, so compare sets of equal size, and report the distance of two disjoint real sets beside it.

    Args:
        real_features, fake_features: `(N, D)` and `(M, D)`, any floating type; computed in float64. Or two feature sets
            of `gather_features`, in the same space.
        correction: 0 divides the covariance by N, as the StyleGAN papers do; 1 divides it by N - 1, as pytorch-fid,
            clean-fid and torchmetrics do. With thousands of images the difference is far below one percent.

    Returns:
        A number >= 0; lower is better. Of feature sets it is a `Distance`, which knows what it was measured in.

    Raises:
        InputError: if a set has fewer than two rows, the widths differ, or the features are not the same.

    Example:
        >>> x = torch.tensor([[-1.0], [1.0]])
        >>> frechet_distance(x, 2 * x + 3)
        10.0
        >>> frechet_distance(x, 2 * x + 3, correction=1)          # 3^2 + 2 (1 - 2)^2
        11.0
    """
    check_one_of("correction", correction, (0, 1))
    space = shared_space(real_features, fake_features)
    check_features(real_features, fake_features)
    gaussians = (mean_and_covariance(features, correction) for features in (real_features, fake_features))
    value = gaussian_distance(*next(gaussians), *next(gaussians))
    if space is None:
        return value
    measure = f"Fréchet distance, covariance divided by N{' - 1' if correction else ''}"
    return Distance(value, measure, space, len(real_features), len(fake_features))


def check_features(real_features: Tensor | FeatureSet, fake_features: Tensor | FeatureSet, least: int = 2) -> None:
    """Both must be `(N, D)` with the same D and at least `least` rows."""
    for name, features in (("real_features", real_features), ("fake_features", fake_features)):
        shape = tuple(features.shape)
        check(len(shape) == 2, name, "have shape (N, D)", shape)
        check(shape[0] >= least, name, f"have at least {least} rows", shape[0], "use more images")
    width, other = real_features.shape[1], fake_features.shape[1]
    check(width == other, "fake_features", f"have {width} columns like the real ones", other)
