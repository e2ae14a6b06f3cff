import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.covariance import empirical_covariance

from histoxplain import InputError
from histoxplain._torchvision import torchvision
from histoxplain.metrics import FeatureSet, FeatureSpace, frechet_distance, gaussian_distance, mean_and_covariance


def test_same_as_the_reference(shared):
    fixture = np.load(shared / "fixtures" / "stylegan2" / "misc" / "metrics.npz")
    real, fake = torch.from_numpy(fixture["real"]), torch.from_numpy(fixture["gen"])
    mean, covariance = mean_and_covariance(real)
    np.testing.assert_allclose(mean, fixture["mu_real"], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(covariance, fixture["cov_real"], rtol=1e-6, atol=1e-7)
    assert frechet_distance(real, fake) == pytest.approx(float(fixture["fid"]), rel=1e-9)


def test_same_as_the_reference_batch_by_batch(shared):
    fixture = np.load(shared / "fixtures" / "stylegan2" / "misc" / "metrics.npz")
    real, fake = (FeatureSet(FeatureSpace("fixture", "none", 24)) for _ in range(2))
    for found, rows in ((real, fixture["real"]), (fake, fixture["gen"])):
        for batch in torch.from_numpy(rows).split(32):
            found.add(batch)
    np.testing.assert_allclose(real.mean, fixture["mu_real"], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(real.covariance(), fixture["cov_real"], rtol=1e-6, atol=1e-7)
    assert frechet_distance(real, fake) == pytest.approx(float(fixture["fid"]), rel=1e-9)


def test_same_as_scikit_learn_and_scipy(rng):
    real, fake = torch.randn(60, 6, generator=rng).double(), torch.rand(50, 6, generator=rng).double()
    np.testing.assert_allclose(mean_and_covariance(real)[1], empirical_covariance(real.numpy()), rtol=1e-12)
    shift = (real.mean(dim=0) - fake.mean(dim=0)).square().sum().item()
    for correction in (0, 1):
        a, b = (np.cov(x.numpy().T, ddof=correction) for x in (real, fake))
        expected = shift + np.trace(a + b - 2 * sqrtm(a @ b).real)
        assert frechet_distance(real, fake, correction=correction) == pytest.approx(expected, rel=1e-9)


def test_same_as_torchmetrics(rng):
    torchvision()
    fid = pytest.importorskip("torchmetrics.image.fid", reason="needs torchmetrics, which is not part of the project")
    real, fake = torch.randn(60, 6, generator=rng).double(), torch.rand(50, 6, generator=rng).double()
    theirs = fid.FrechetInceptionDistance(feature=Features(), input_img_size=(1, 1, 6)).set_dtype(torch.float64)
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    assert frechet_distance(real, fake, correction=1) == pytest.approx(theirs.compute().item(), rel=1e-6)


class Features(torch.nn.Module):
    """A network whose images are features already."""

    num_features = 6

    def forward(self, x):
        return x


def test_diagonal_gaussians_have_a_closed_form():
    a, b = torch.tensor([1.0, 4.0, 9.0]), torch.tensor([4.0, 4.0, 1.0])
    shift = torch.tensor([1.0, 0.0, 2.0])
    expected = (1 + 4) + ((1 - 2) ** 2 + 0 + (3 - 1) ** 2)
    assert gaussian_distance(torch.zeros(3), a.diag(), shift, b.diag()) == pytest.approx(expected)


def test_rotated_gaussians_have_a_closed_form():
    # both covariances in one rotated frame commute: sum of (s_a - s_b)^2
    frame = torch.linalg.qr(torch.randn(4, 4, dtype=torch.double))[0]
    a, b = torch.tensor([1.0, 2.0, 3.0, 0.0]).double(), torch.tensor([2.0, 2.0, 0.5, 1.0]).double()
    found = gaussian_distance(
        torch.zeros(4), frame @ a.square().diag() @ frame.T, torch.zeros(4), frame @ b.square().diag() @ frame.T
    )
    assert found == pytest.approx((a - b).square().sum().item(), abs=1e-6)


def test_properties(rng):
    x, y = torch.randn(50, 8, generator=rng), torch.randn(40, 8, generator=rng) * 2 + 1
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x))
    assert frechet_distance(x, x + 3) == pytest.approx(9 * 8)
    fewer_rows_than_columns = frechet_distance(x[:4], y[:4])
    assert fewer_rows_than_columns > 0


def test_bad_input():
    with pytest.raises(InputError, match="at least 2 rows"):
        frechet_distance(torch.ones(1, 3), torch.ones(5, 3))
    with pytest.raises(InputError, match="3 columns"):
        frechet_distance(torch.ones(5, 3), torch.ones(5, 2))
    with pytest.raises(InputError, match="shape"):
        frechet_distance(torch.ones(5), torch.ones(5, 2))
    with pytest.raises(InputError, match="`correction` must be one of 0, 1, got 2"):
        frechet_distance(torch.ones(5, 2), torch.ones(5, 2), correction=2)
