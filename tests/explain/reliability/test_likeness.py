import pytest
import torch

from histoxplain.explain import likeness


def test_likeness_is_a_correlation(rng):
    a = torch.randn(64, 64, generator=rng)
    b = 0.6 * a + 0.8 * torch.randn(64, 64, generator=rng)
    assert likeness(a, b) == pytest.approx(torch.stack([a.flatten(), b.flatten()]).corrcoef()[0, 1].item(), abs=1e-5)
    assert likeness(a, b) == pytest.approx(0.6, abs=0.05)
    assert likeness(a, 3 * a + 1) == pytest.approx(1)


def test_flat_maps():
    flat = torch.ones(4, 4)
    assert likeness(flat, flat) == 1
    assert likeness(flat, 0 * flat) == 0
