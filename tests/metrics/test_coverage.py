import pytest
import torch

from histoxplain import InputError
from histoxplain.metrics import coverage


def test_points_on_a_line_by_hand():
    real = torch.tensor([[0.0], [1.0], [2.0], [10.0]])  # radii 1, 1, 1, 8
    fake = torch.tensor([[0.5], [1.5], [50.0]])  # radii 1, 1, 48.5
    found = coverage(real, fake, k=1)
    assert found.precision == pytest.approx(2 / 3)
    assert found.density == pytest.approx((2 + 2 + 0) / 3)
    assert found.coverage == pytest.approx(3 / 4)  # 10 reaches down to 2 only
    assert found.recall == pytest.approx(1.0)  # 50 reaches down to 1.5, where 10 is


def test_a_collapsed_generator_is_precise_but_covers_nothing(rng):
    real = torch.randn(200, 6, generator=rng)
    fake = real[:1] + 1e-4 * torch.randn(200, 6, generator=rng)
    found = coverage(real, fake)
    assert found.precision == 1.0
    assert found.recall < 0.05
    assert found.coverage < 0.1


def test_equal_distributions_score_as_theory_says(rng):
    real, fake = torch.randn(600, 4, generator=rng), torch.randn(600, 4, generator=rng)
    found = coverage(real, fake, k=5)
    assert found.density == pytest.approx(1, abs=0.1)
    assert found.coverage == pytest.approx(1 - 2**-5, abs=0.03)


def test_wide_features_take_the_fast_distances_to_the_same_end(rng):
    real, fake = torch.randn(60, 4, generator=rng), torch.randn(50, 4, generator=rng)
    padding = torch.zeros(60, 96)
    wide = coverage(torch.cat([real, padding], 1), torch.cat([fake, padding[:50]], 1), k=3)
    assert wide == coverage(real, fake, k=3)


def test_bad_input():
    with pytest.raises(InputError, match="at least 6 rows"):
        coverage(torch.ones(5, 2), torch.ones(9, 2), k=5)
    with pytest.raises(InputError, match="`k` must be at least 1"):
        coverage(torch.ones(5, 2), torch.ones(9, 2), k=0)
