"""Held against the plain distances of images that are really repeated."""

import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.metrics import (
    FeatureSpace,
    drawn_frechet_distances,
    drawn_kernel_distances,
    frechet_distance,
    gather_features,
    polynomial_mmd,
)

SPACE = FeatureSpace("numbers", "none", 5)


def features(x, keep=100):
    return gather_features(x[:, :, None, None], lambda images: images[:, :, 0, 0], keep=keep, space=SPACE)


@pytest.fixture
def sets(rng):
    real, fake = torch.randn(40, 5, generator=rng), 1 + 2 * torch.randn(8, 5, generator=rng)
    return real, fake


def test_frechet_is_that_of_the_repeated_images(sets):
    real, fake = sets
    weights = torch.tensor([[1.0] * 8, [3, 2, 1, 1, 0, 0, 1, 0], [8, 0, 0, 0, 0, 0, 0, 0]])
    found = drawn_frechet_distances(features(real), features(fake), weights)
    for w, distance in zip(weights.long(), found.tolist()):
        assert distance == pytest.approx(frechet_distance(real, fake.repeat_interleave(w, 0)), rel=1e-6)


def test_kernel_counts_every_pair_of_different_images(sets):
    real, fake = sets
    found = drawn_kernel_distances(features(real[:8]), features(fake), torch.ones(1, 8))
    assert found.item() == pytest.approx(polynomial_mmd(fake, real[:8]).item(), rel=1e-6)
    twice = drawn_kernel_distances(features(real[:8]), features(fake[:2]), torch.tensor([[1.0, 1.0], [2.0, 0.0]]))
    first = drawn_kernel_distances(features(real[:8]), features(fake[:2]), torch.tensor([[5.0, 5.0]]))
    assert twice[0] == pytest.approx(first.item())
    assert twice[1].isnan()  # one image alone has no pair


def test_wrong_arguments(sets):
    real, fake = map(features, sets)
    with pytest.raises(InputError, match="hold all of their rows"):
        drawn_frechet_distances(real, features(sets[1], keep=3), torch.ones(1, 8))
    with pytest.raises(InputError, match="`weights` must have shape"):
        drawn_frechet_distances(real, fake, torch.ones(1, 3))
    with pytest.raises(InputError, match="`keep` must be at least 2"):
        drawn_kernel_distances(features(sets[0], keep=0), fake, torch.ones(1, 8))
