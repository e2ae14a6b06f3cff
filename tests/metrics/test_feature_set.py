import weakref

import numpy as np
import pytest
import torch

from histoxplain import InputError
from histoxplain.metrics import (
    FEATURES,
    Distance,
    FeatureSet,
    FeatureSpace,
    extract_features,
    feature_net,
    frechet_distance,
    gather_features,
    kernel_distance,
)

SPACE = FeatureSpace("numbers", "none", 3)


def gathered(rows, batch=7, **options):
    found = FeatureSet(FeatureSpace("numbers", "none", rows.shape[1]), **options)
    for part in rows.split(batch):
        found.add(part)
    return found


def test_running_sums_are_the_statistics_of_all(rng):
    rows = torch.randn(101, 5, generator=rng) @ torch.randn(5, 5, generator=rng) + 3
    found = gathered(rows)
    assert (len(found), found.shape) == (101, (101, 5))
    np.testing.assert_allclose(found.mean, rows.double().mean(dim=0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance(), np.cov(rows.double().T, ddof=0), rtol=1e-10)
    np.testing.assert_allclose(found.covariance(1), np.cov(rows.double().T), rtol=1e-10)


def test_large_means_cost_no_digits(rng):
    rows = torch.randn(90, 3, generator=rng, dtype=torch.double)
    np.testing.assert_allclose(gathered(rows + 1e7).covariance(), gathered(rows).covariance(), rtol=1e-6)


class Watch:
    """A generator of images that counts how many of its batches are alive."""

    def __init__(self, batches):
        self.batches, self.most, self.alive = batches, 0, weakref.WeakSet()

    def __iter__(self):
        for index in range(self.batches):
            batch = torch.full((10, 3, 4, 4), index / self.batches)
            self.alive.add(batch)
            self.most = max(self.most, len(self.alive))
            yield batch


def held(found):
    return sum(value.untyped_storage().nbytes() for value in vars(found).values() if isinstance(value, torch.Tensor))


def test_fifty_thousand_images_need_the_memory_of_five_hundred():
    def colour(x):
        return x.mean(dim=(2, 3))

    few, many = Watch(50), Watch(5000)
    small, large = (gather_features(images, colour, keep=100, space=SPACE) for images in (few, many))
    assert (len(small), len(large)) == (500, 50_000)
    assert held(small) == held(large)
    assert few.most <= many.most <= 2  # the one at hand, and the one that is being made


def test_images_may_be_made_in_place():
    canvas = torch.zeros(2, 3, 4, 4)  # as a data source does, whose batches share their memory

    def batches():
        for _ in range(3):
            canvas.add_(1)
            yield canvas

    found = gather_features(batches(), lambda x: x.mean(dim=(2, 3)), space=SPACE)
    assert found.mean.tolist() == [2, 2, 2]
    assert extract_features(torch.zeros(1, 3, 8, 8)).add_(1).shape == (1, 1280)


def test_rows_that_fit_are_all_kept_in_order(rng):
    rows = torch.randn(30, 3, generator=rng)
    assert torch.equal(gathered(rows, keep=30).rows, rows)
    assert len(gathered(rows).rows) == 0


def test_kept_rows_are_a_fair_sample():
    rows = torch.arange(2000.0)[:, None]
    counts = torch.zeros(4)
    for seed in range(20):
        kept = gathered(rows, batch=64, keep=100, seed=seed).rows[:, 0]
        assert len(kept.unique()) == 100
        assert torch.equal(kept, kept.sort().values)
        counts += torch.histc(kept, 4, 0, 2000)
    assert (counts - 500).abs().max() < 80  # four standard deviations
    again = gathered(rows, batch=64, keep=100, seed=19).rows[:, 0]
    assert torch.equal(again, kept)


def test_the_name_travels_with_the_number(rng):
    images = torch.rand(6, 3, 16, 16, generator=rng) * 2 - 1
    real, fake = gather_features(images, keep=6), gather_features(images.flip(0) * 0.5, keep=6)
    found = frechet_distance(real, fake)
    assert isinstance(found, Distance)
    assert found == pytest.approx(frechet_distance(extract_features(images), extract_features(images.flip(0) * 0.5)))
    assert found.describe() | {"value": 0} == {
        "value": 0,
        "measure": "Fréchet distance, covariance divided by N",
        "features": FEATURES,
        "resize": "128 px, bilinear, antialiased",
        "real_images": 6,
        "fake_images": 6,
    }
    kernel = kernel_distance(real, fake, subsets=2)
    assert kernel.space == real.space
    with pytest.raises(InputError, match="measure both alike"):
        assert kernel < found


def test_unlike_features_are_not_mixed_up(rng):
    rows = torch.randn(9, 3, generator=rng)
    one, two = gathered(rows, keep=9), FeatureSet(FeatureSpace("numbers", "clean", 3), keep=9)
    two.add(rows)
    for distance in (frechet_distance, kernel_distance):
        with pytest.raises(InputError, match=r"numbers features \(none\), got numbers features \(clean\)"):
            distance(one, two)
        with pytest.raises(InputError, match="got a tensor of unnamed features"):
            distance(one, rows)


def test_bad_input():
    found = FeatureSet(SPACE)
    with pytest.raises(InputError, match=r"`features` must have shape \(n, 3\), got \(2, 4\)"):
        found.add(torch.ones(2, 4))
    with pytest.raises(InputError, match="must be finite"):
        found.add(torch.tensor([[0.0, 1.0, float("nan")]]))
    found.add(torch.ones(2, 3))
    with pytest.raises(InputError, match="`keep` must be at least 2 for the kernel distance, got 0"):
        kernel_distance(found, found)
    with pytest.raises(InputError, match="at least 2 rows, got 0"):
        frechet_distance(FeatureSet(SPACE), found)
    with pytest.raises(InputError, match="at least one image"):
        gather_features(iter([]))
    with pytest.raises(InputError, match="`net` must have a name"):
        gather_features(torch.zeros(2, 3, 4, 4), lambda x: x.mean(dim=(2, 3)))


def test_a_net_of_another_resolution_is_another_space(rng):
    images = torch.rand(2, 3, 16, 16, generator=rng)
    other = type(feature_net())(resolution=64)
    with pytest.raises(InputError, match=r"128 px.*got.*64 px"):
        frechet_distance(gather_features(images), gather_features(images, other))
