import pytest
import torch
from scipy.spatial.distance import mahalanobis as scipy_mahalanobis
from sklearn.covariance import EmpiricalCovariance

from histoxplain.explain.reliability.familiarity import check_familiar, fit_gaussians, is_plain, mahalanobis
from histoxplain.explain.reliability.percentile import percentile
from histoxplain.models.reference import Reference


@pytest.fixture
def correlated(rng):
    """400 rows of 6 numbers that go together."""
    mixing = torch.randn(6, 6, generator=rng)
    return torch.randn(400, 6, generator=rng) @ mixing + torch.arange(6.0)


def test_all_but_one_axis_is_the_whole_covariance(correlated):
    """Five axes and one variance for the sixth direction leave nothing out: scikit-learn's and SciPy's distance."""
    found = fit_gaussians(correlated, axes=5)
    ours = mahalanobis(correlated[:20], **found)
    whole = EmpiricalCovariance().fit(correlated.double().numpy())
    assert ours.square().tolist() == pytest.approx(
        whole.mahalanobis(correlated[:20].double().numpy()).tolist(), rel=1e-3
    )
    first = scipy_mahalanobis(correlated[0].numpy(), whole.location_, whole.get_precision())
    assert ours[0].item() == pytest.approx(first, rel=1e-3)


def test_few_axes_are_a_low_rank_covariance(correlated):
    found = {name: tensor.double() for name, tensor in fit_gaussians(correlated, axes=2).items()}
    axes, rest, scale = found["axes"], found["rest"], found["scale"]
    assert scale.tolist() == pytest.approx(correlated.double().std(0, correction=0).tolist(), rel=1e-5)
    correlations = axes.T @ torch.diag(found["variances"] - rest) @ axes + rest * torch.eye(6)
    assert correlations.trace().item() == pytest.approx(6)  # of features of unit variance
    inverse = (scale[:, None] * correlations * scale).inverse().numpy()
    by_hand = [scipy_mahalanobis(row.numpy(), found["means"][0].numpy(), inverse) for row in correlated[:5].double()]
    assert mahalanobis(correlated[:5], **found).tolist() == pytest.approx(by_hand, rel=1e-3)


def test_fewer_rows_than_features_are_fitted_alike(rng):
    """Rows repeated have the same principal axes as the rows once, by another way of computing them."""
    rows = torch.randn(30, 40, generator=rng)
    few, many = fit_gaussians(rows, axes=5), fit_gaussians(rows.repeat(3, 1), axes=5)
    new = torch.randn(4, 40, generator=rng)
    assert mahalanobis(new, **few).tolist() == pytest.approx(mahalanobis(new, **many).tolist(), rel=1e-4)


def test_nearest_class_counts(rng):
    """Two clouds 100 apart: the middle is far from both, although it is the mean of all."""
    rows = torch.randn(200, 3, generator=rng)
    rows[100:, 0] += 100
    found = fit_gaussians(rows, [0] * 100 + [1] * 100, axes=2)
    near, middle, other = mahalanobis(torch.tensor([[0.0, 0, 0], [50.0, 0, 0], [100.0, 0, 0]]), **found).tolist()
    assert max(near, other) < 1
    assert middle == pytest.approx(50, rel=0.2)
    unlabelled = fit_gaussians(rows, [-1] * 200, axes=2)
    assert mahalanobis(torch.tensor([[50.0, 0, 0]]), **unlabelled).item() < 1


def test_percentiles_of_new_rows_of_the_same_kind_are_uniform(rng):
    known, others, new = (torch.randn(n, 40, generator=rng) for n in (2000, 500, 500))
    found = fit_gaussians(known, axes=10)
    away = mahalanobis(others, **found)
    shares = torch.tensor([percentile(value, away) for value in mahalanobis(new, **found).tolist()]) / 100
    largest_gap = (shares.sort().values - torch.arange(1, 501) / 500).abs().max().item()
    assert largest_gap < 1.95 * (2 / 500) ** 0.5  # Kolmogorov and Smirnov, two samples of 500, one in a thousand


def test_percentile_of_a_known_distribution():
    known = torch.arange(1, 101).float()
    assert [percentile(value, known) for value in (0, 0.5, 1, 50.5, 100, 101)] == [0, 0, 0.5, 50, 99.5, 100]


def reference(distances):
    means, scale, axes = torch.zeros(1, 1792), torch.ones(1792), torch.eye(1792)[:2]
    return Reference(
        means, scale, axes, torch.ones(2), torch.tensor(1.0), distances, torch.zeros(0), "toy", 9, "features"
    )


def test_said_of_a_strange_image_and_of_a_known_one(rng):
    x = torch.rand(3, 32, 32, generator=rng) * 2 - 1
    known = check_familiar(x, reference(torch.arange(200.0)))
    strange = check_familiar(x, reference(torch.zeros(200)))
    assert known.fine
    assert 0 < known.figures["percentile"] < 99
    assert strange.fine is False
    assert strange.doubts == (
        "the image is unlike those that the networks know (further from them than for all 200 known images)",
    )
    assert check_familiar(x, reference(torch.zeros(200)), drawn=True).fine
    missing = check_familiar(x, None)
    assert (missing.fine, missing.answer) == (None, "the bundle has no reference images")


def test_an_image_of_one_colour_shows_nothing(rng):
    grey = torch.full((3, 16, 16), 0.2)
    assert is_plain(grey)
    assert is_plain(grey + torch.tensor([0.5, 0.0, -0.5])[:, None, None])
    assert not is_plain(torch.cat([grey[:2], torch.rand(1, 16, 16, generator=rng)]))
    for check in (check_familiar(grey, None), check_familiar(grey, reference(torch.arange(500.0)))):
        assert check.doubts == ("the image is of a single colour and shows nothing",)
