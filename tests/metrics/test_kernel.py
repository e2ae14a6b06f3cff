import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import polynomial_kernel

from histoxplain._torchvision import torchvision
from histoxplain.metrics import FeatureSet, FeatureSpace, kernel_distance, polynomial_mmd


def test_same_as_the_reference(shared):
    fixture = np.load(shared / "fixtures" / "stylegan2" / "misc" / "metrics.npz")
    real, fake = torch.from_numpy(fixture["real"]), torch.from_numpy(fixture["gen"])
    found = kernel_distance(real, fake, subsets=20, subset_size=100, seed=0)
    assert found == pytest.approx(float(fixture["kid_sub100_n20_seed0"]), rel=1e-6)


def test_same_as_the_reference_batch_by_batch(shared):
    fixture = np.load(shared / "fixtures" / "stylegan2" / "misc" / "metrics.npz")
    real, fake = (FeatureSet(FeatureSpace("fixture", "none", 24), keep=300) for _ in range(2))
    for found, rows in ((real, fixture["real"]), (fake, fixture["gen"])):
        for batch in torch.from_numpy(rows).split(32):
            found.add(batch)
    found = kernel_distance(real, fake, subsets=20, subset_size=100, seed=0)
    assert found == pytest.approx(float(fixture["kid_sub100_n20_seed0"]), rel=1e-6)
    assert (found.real_images, found.fake_images) == (300, 280)


def test_same_as_scikit_learn(rng):
    a, b = torch.randn(30, 5, generator=rng).double(), torch.rand(30, 5, generator=rng).double()
    aa, bb, ab = (polynomial_kernel(x.numpy(), y.numpy(), degree=3, coef0=1) for x, y in ((a, a), (b, b), (a, b)))
    apart = ~np.eye(30, dtype=bool)
    expected = aa[apart].mean() + bb[apart].mean() - 2 * ab.mean()
    assert polynomial_mmd(a, b).item() == pytest.approx(expected, rel=1e-9)
    assert kernel_distance(a, b, subsets=3) == pytest.approx(expected, rel=1e-9)


def test_same_as_torchmetrics(rng):
    torchvision()
    kid = pytest.importorskip("torchmetrics.image.kid", reason="needs torchmetrics, which is not part of the project")
    real, fake = torch.randn(40, 5, generator=rng).double(), torch.rand(40, 5, generator=rng).double()
    expected = kid.poly_mmd(real, fake).item()
    assert kernel_distance(real, fake, subsets=1) == pytest.approx(expected, rel=1e-9)


def test_two_points_by_hand():
    # D = 2. a: k(a1, a2) = (0 / 2 + 1)^3 = 1; b: (8 / 2 + 1)^3 = 125; between: (0, 1, 1, 0 -> products 2, 2, 0, 0)
    a, b = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[2.0, 2.0], [2.0, 2.0]])
    between = (2 * (2 / 2 + 1) ** 3 + 2 * 1) / 4
    assert polynomial_mmd(a, b).item() == pytest.approx(1 + 125 - 2 * between)


def test_equal_distributions_are_at_zero_on_average(rng):
    x, y = torch.randn(400, 4, generator=rng), torch.randn(400, 4, generator=rng)
    assert abs(kernel_distance(x, y, subsets=50, subset_size=100)) < 0.2
    assert kernel_distance(x, y + 1, subsets=50, subset_size=100) > 1


def test_same_seed_same_subsets(rng):
    x, y = torch.randn(40, 4, generator=rng), torch.randn(40, 4, generator=rng)
    first = kernel_distance(x, y, subsets=3, subset_size=10, seed=1)
    assert first == kernel_distance(x, y, subsets=3, subset_size=10, seed=1)
    assert first != kernel_distance(x, y, subsets=3, subset_size=10, seed=2)
