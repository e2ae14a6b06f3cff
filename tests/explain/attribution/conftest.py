import pytest
import torch

from tests.explain.attribution.known import SIDE, Linear


@pytest.fixture
def linear(rng):
    return Linear(torch.randn(3, SIDE, SIDE, generator=rng) / SIDE)


@pytest.fixture
def image(rng):
    return torch.rand(3, SIDE, SIDE, generator=rng) * 2 - 1


@pytest.fixture
def images(rng):
    return torch.rand(3, 3, SIDE, SIDE, generator=rng) * 2 - 1
