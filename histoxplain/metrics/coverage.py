"""Whether every fake image is plausible, and every kind of real image is among the fakes.

Neighbourhoods in a feature space: precision and recall (Kynkäänniemi et al., 2019, arXiv:1904.06991), density and
coverage (Naeem et al., 2020, arXiv:2002.09797), which outliers do not mislead.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from histoxplain._checks import check_at_least
from histoxplain.metrics.frechet import check_features

_ROWS = 1024


@dataclass(frozen=True)
class Coverage:
    """Four numbers about a set of fake images; see `coverage`."""

    precision: float
    """Share of fakes within a neighbourhood of some real image, in [0, 1]."""
    recall: float
    """Share of real images within a neighbourhood of some fake, in [0, 1]."""
    density: float
    """Mean number of real neighbourhoods a fake lies in, divided by k; about 1 for equal distributions."""
    coverage: float
    """Share of real images whose neighbourhood holds a fake, in [0, 1]; `1 - 2^-k` expected for equal distributions."""


def coverage(real_features: Tensor, fake_features: Tensor, k: int = 5) -> Coverage:
    """Precision, recall, density and coverage of fakes among real images.

    The neighbourhood of an image is the closed ball that reaches its k-th nearest other image of its own set.

    Args:
        real_features, fake_features: `(N, D)` and `(M, D)`.
        k: the neighbour that sets the radius; it must be less than N and M.

    Raises:
        InputError: if a set has k rows or fewer, or the widths differ.

    Example:
        >>> real = torch.tensor([[0.0], [1.0], [10.0]])
        >>> coverage(real, torch.tensor([[0.5], [0.6], [100.0]]), k=1)
        Coverage(precision=0.666..., recall=0.666..., density=1.333..., coverage=0.666...)
    """
    check_at_least("k", k, 1)
    check_features(real_features, fake_features, least=k + 1)
    real, fake = real_features.double(), fake_features.double()
    between = _distances(real, fake)
    inside_real = between <= _radii(real, k)[:, None]
    inside_fake = between <= _radii(fake, k)[None]
    return Coverage(
        precision=_share(inside_real.any(dim=0)),
        recall=_share(inside_fake.any(dim=1)),
        density=inside_real.sum(dim=0).double().mean().item() / k,
        coverage=_share(inside_real.any(dim=1)),
    )


def _share(flags: Tensor) -> float:
    return flags.double().mean().item()


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances `(N, M)`."""
    exact = "donot_use_mm_for_euclid_dist" if a.shape[1] <= 64 else "use_mm_for_euclid_dist"
    return torch.cat([torch.cdist(rows, b, compute_mode=exact) for rows in a.split(_ROWS)])


def _radii(x: Tensor, k: int) -> Tensor:
    """Distance of each row to its k-th nearest other row, `(N,)`."""
    return _distances(x, x).fill_diagonal_(0).kthvalue(k + 1, dim=1).values
