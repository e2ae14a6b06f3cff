import math

import pytest
import torch

from histoxplain import metrics
from histoxplain._checks import InputError
from histoxplain.metrics import Interval, draw_weights, interval_about, ratio_interval, share_interval


def test_the_mean_of_many_has_the_textbook_interval(rng):
    x = torch.randn(400, generator=rng, dtype=torch.float64)
    found = ratio_interval(x)
    half = 1.96 * float(x.std(correction=0)) / 20
    assert found.value == pytest.approx(float(x.mean()))
    assert found.low == pytest.approx(found.value - half, abs=0.12 * half)
    assert found.high == pytest.approx(found.value + half, abs=0.12 * half)


def test_it_covers_the_truth_as_often_as_it_says(rng):
    hits = [(lambda i: i.low <= 0 <= i.high)(ratio_interval(torch.randn(60, generator=rng))) for _ in range(150)]
    assert 0.88 <= sum(hits) / len(hits) <= 0.99


def test_images_are_drawn_and_not_counterfactuals():
    """Ten answers to one image are no ten images: two images that disagree leave everything open."""
    found = ratio_interval(torch.tensor([10.0, 0.0]), torch.tensor([10.0, 10.0]))
    assert found == Interval(0.5, 0.0, 1.0)


def test_images_without_counterfactual_do_not_count():
    some = ratio_interval(torch.tensor([1.0, 0.0, 3.0]), torch.tensor([1.0, 0.0, 1.0]))
    assert some.value == 2
    nothing = ratio_interval(torch.zeros(3), torch.zeros(3))
    assert math.isnan(nothing.value)
    assert nothing.to_dict() == {"value": None, "low": None, "high": None}


def test_one_image_tells_nothing_of_chance():
    found = ratio_interval(torch.tensor([0.25]))
    assert found.value == 0.25
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_shares_without_exception_are_not_certain():
    """The rule of three: after 100 of 100 the share may well be 1 - 3.7 / 100."""
    assert share_interval(torch.ones(100)).low == pytest.approx(0.025**0.01)
    assert share_interval(torch.zeros(100)).high == pytest.approx(1 - 0.025**0.01)
    assert share_interval(torch.ones(1)).low == pytest.approx(0.025)
    half = torch.tensor([0.0, 1.0] * 50)
    assert share_interval(half) == ratio_interval(half)


def test_draws_are_as_many_as_images():
    weights = draw_weights(5, samples=300)
    assert (weights.sum(1) == 5).all()
    assert torch.equal(weights, draw_weights(5, samples=300))
    assert weights.mean(0).tolist() == pytest.approx([1] * 5, abs=0.25)


def test_the_spread_is_moved_to_the_figure():
    found = interval_about(10.0, torch.linspace(100, 102, 201))
    assert (found.low, found.high) == (pytest.approx(9.05), pytest.approx(10.95))
    assert math.isnan(interval_about(1.0, torch.tensor([math.nan])).low)


def test_wrong_arguments():
    for arguments, words in (
        ((torch.zeros(0),), "N at least 1"),
        ((torch.zeros(2), torch.zeros(3)), "`wholes` must have shape"),
        ((torch.zeros(2), None, 1.0), "`confidence` must lie in"),
    ):
        with pytest.raises(InputError, match=words):
            metrics.ratio_interval(*arguments)
