"""Fréchet and kernel distances of drawn images, as a bootstrap needs them: many at once, and exact."""

from __future__ import annotations

import torch
from torch import Tensor

from histoxplain._checks import check
from histoxplain.metrics.feature_set import FeatureSet, shared_space


def _rows(real: FeatureSet, fake: FeatureSet, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Features of the fake images, `(N, D)`, and the weights as shares that sum to 1."""
    shared_space(real, fake)
    held, count = len(fake.rows), len(fake)
    check(held == count, "fake_features", "hold all of their rows", f"{held} of {count}", f"gather with keep={count}")
    check(weights.shape[1:] == (count,), "weights", f"have shape (samples, {count})", tuple(weights.shape))
    return fake.rows.double(), weights.double() / weights.double().sum(1, keepdim=True)


def drawn_frechet_distances(real: FeatureSet, fake: FeatureSet, weights: Tensor) -> Tensor:
    """Fréchet distance between the real images and every drawing of the fake ones (covariances divided by N).

    With N fake images the covariance has at most N - 1 directions, so that eigenvalues of an `(N, N)` matrix do.

    Args:
        real: features of real images.
        fake: features of the N images, all rows held.
        weights: how often each is drawn, `(samples, N)`, as of `draw_weights`.

    Returns:
        `(samples,)`, float64.

    Raises:
        InputError: if the spaces differ, rows are missing, or weights are not one an image.
    """
    rows, share = _rows(real, fake, weights)
    centred = rows - real.mean
    covariance = real.covariance()
    gram = centred @ covariance @ centred.T
    scale = share.sqrt()
    found = []
    for w, root in zip(share, scale):
        used = w > 0
        w, root = w[used], root[used]
        half = torch.diag(root) - w[:, None] * root  # half @ half.T = diag(w) - w w.T
        values = torch.linalg.eigvalsh(half.T @ gram[used][:, used] @ half)
        found.append(values.clamp(min=0).sqrt().sum())
    return (covariance.trace() + share @ centred.square().sum(1) - 2 * torch.stack(found)).clamp(min=0)


def drawn_kernel_distances(real: FeatureSet, fake: FeatureSet, weights: Tensor) -> Tensor:
    """Kernel distance `(x.y / D + 1)^3` between the real images and every drawing of the fake ones.

    All pairs are used; pairs of an image with itself are left out also where it is drawn more than once.

    Args:
        real: features of real images; those of the rows it holds count.
        fake: features of the N images, all rows held.
        weights: how often each is drawn, `(samples, N)`.

    Returns:
        `(samples,)`, float64; NaN where one image alone was drawn.
    """
    rows, share = _rows(real, fake, weights)
    others, width = real.rows.double(), rows.shape[1]
    check(len(others) > 1, "keep", "be at least 2 for the kernel distance", len(others), "keep 1000 rows or more")
    within = (rows @ rows.T / width + 1) ** 3
    within.fill_diagonal_(0)
    real_within = (others @ others.T / width + 1) ** 3
    count = len(others)
    constant = (real_within.sum() - real_within.diagonal().sum()) / (count * (count - 1))
    between = ((rows @ others.T / width + 1) ** 3).mean(1)
    pairs = 1 - share.square().sum(1)
    inside = ((share @ within) * share).sum(1) / torch.where(pairs > 1e-12, pairs, torch.nan)
    return inside + constant - 2 * share @ between
