import json
import math

import numpy as np
import pytest
import torch

from histoxplain import InputError
from histoxplain.explain import average_changes, compare_images
from histoxplain.explain.morphometry.averages import average
from histoxplain.explain.morphometry.measures import TISSUE

NUCLEI = TISSUE[0]


def interval(values, seed=0):
    return average(NUCLEI, np.array(values, dtype=float), 0.95, 2000, np.random.default_rng(seed))


def test_the_change_is_that_of_the_means():
    found = interval([[2, 4], [200, 100]])
    assert (found.before, found.after, found.images) == (101, 52, 2)
    assert found.change == pytest.approx(52 / 101 - 1)


def test_pairs_stay_together():
    before = np.random.default_rng(0).uniform(20, 300, 40)
    found = interval(np.stack([before, 0.7 * before], 1))  # images differ, the change does not
    assert found.low == pytest.approx(-0.3)
    assert found.high == pytest.approx(-0.3)
    assert found.clear


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng, hits = np.random.default_rng(1), 0
    for seed in range(200):
        before = rng.uniform(80, 120, 30)
        after = 0.8 * before * (1 + 0.2 * rng.standard_normal(30))
        found = interval(np.stack([before, after], 1), seed)
        hits += found.low <= -0.2 <= found.high
    assert 0.88 < hits / 200 <= 0.99


def test_no_change_is_not_clear():
    values = np.random.default_rng(2).uniform(50, 60, (30, 2))
    found = interval(values)
    assert not found.clear
    assert found.low < 0 < found.high


def test_over_drawn_images(drawn, discs):
    pairs = [compare_images(drawn(discs(6, 5.0)), drawn(discs(n, 5.0))) for n in (3, 4, 3)]
    found = average_changes(pairs, samples=200)
    assert found["nuclei"].after == pytest.approx((9 + 16 + 9) / 3)
    assert found["nuclei"].clear
    assert found.sentence().startswith("Over 3 images: nuclei 69 % fewer")
    assert list(found.rows()[0])[3:] == ["before", "after", "change", "low", "high", "images", "clear"]
    json.dumps(found.to_dict(), allow_nan=False)
    grouped = average_changes(pairs, images=["a", "a", "b"], samples=200)
    assert grouped["nuclei"].after == pytest.approx(((9 + 16) / 2 + 9) / 2)
    assert grouped.images == grouped["nuclei"].images == 2


def test_what_is_missing_is_left_out(drawn, discs):
    nothing = compare_images(drawn([]), drawn([]))
    found = average_changes([compare_images(drawn(discs(5, 5.0)), drawn(discs(4, 5.0))), nothing])
    assert (found["nuclei"].images, found["nuclear_size"].images) == (2, 1)
    assert math.isnan(found["nuclear_size"].low)
    assert not found["nuclear_size"].clear
    assert average_changes([nothing])["darkness"].images == 0
    json.dumps(found.to_dict(), allow_nan=False)


def test_bad_input(drawn):
    grey, pink = torch.zeros(1, 32, 32), drawn([])
    one, other = compare_images(grey, grey), compare_images(pink, pink)
    with pytest.raises(InputError, match="at least one"):
        average_changes([])
    with pytest.raises(InputError, match="one kind"):
        average_changes([one, other])
    with pytest.raises(InputError, match="name 1"):
        average_changes([one], images=["a", "b"])
    with pytest.raises(InputError, match="one scale"):
        average_changes([one, compare_images(grey, grey, microns=1)])
    with pytest.raises(InputError, match="confidence"):
        average_changes([one], confidence=95)
