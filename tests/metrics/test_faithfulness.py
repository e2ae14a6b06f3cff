import pytest
import torch

from histoxplain import InputError
from histoxplain.metrics import deletion_curve, faithfulness, insertion_curve, rank_correlation

SIDE = 8


@pytest.fixture
def weight(rng):
    return torch.rand(SIDE, SIDE, generator=rng)


def score_of(weight):
    return lambda x: (x[:, 0] * weight).sum((1, 2)) / weight.sum()


WHITE, BLACK = torch.ones(1, SIDE, SIDE), torch.zeros(1, SIDE, SIDE)


def test_curves_of_a_linear_score_are_its_sorted_sums(weight):
    curve = deletion_curve(score_of(weight), WHITE, weight, BLACK, steps=SIDE * SIDE)
    kept = 1 - weight.flatten().sort(descending=True).values.cumsum(0) / weight.sum()
    torch.testing.assert_close(curve.scores, torch.cat([torch.ones(1), kept]), atol=1e-5, rtol=0)


def test_insertion_is_deletion_read_backwards(weight):
    score = score_of(weight)
    shown = insertion_curve(score, WHITE, weight, BLACK, steps=16)
    hidden = deletion_curve(score, WHITE, -weight, BLACK, steps=16)
    torch.testing.assert_close(shown.scores, hidden.scores.flip(0))


def test_the_true_map_is_better_than_chance_and_the_wrong_one_worse(weight):
    true, wrong = (faithfulness(score_of(weight), WHITE, map, BLACK) for map in (weight, -weight))
    assert true.deletion.area < true.random_deletion.area - 0.1 < wrong.deletion.area - 0.2
    assert true.insertion.area > true.random_insertion.area + 0.1 > wrong.insertion.area + 0.2
    assert true.random_deletion.area == pytest.approx(0.5, abs=0.05)


def test_areas_are_exact_for_a_step():
    first = torch.zeros(SIDE, SIDE)
    first[0, 0] = 1
    curve = deletion_curve(score_of(first), WHITE, first, BLACK, steps=SIDE * SIDE)
    assert curve.area == pytest.approx(0.5 / SIDE**2)  # 1 at the start, 0 from the first pixel on
    assert (float(curve.shares[0]), float(curve.shares[-1])) == (0.0, 1.0)


def test_equals_are_hidden_in_an_order_that_has_nothing_to_do_with_the_image():
    left = torch.zeros(SIDE, SIDE)
    left[:, : SIDE // 2] = 1
    curve = deletion_curve(score_of(left), WHITE, torch.zeros(SIDE, SIDE), BLACK, steps=4)
    torch.testing.assert_close(curve.scores, torch.linspace(1, 0, 5), atol=0.15, rtol=0)


def test_rank_correlation_is_scipys(rng):
    from scipy.stats import spearmanr

    a, b = torch.rand(2, 50, generator=rng).mul(10).round().unbind()  # with ties
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_correlation(a, a.exp()) == 1.0
    assert rank_correlation(a, torch.zeros(50)) == 0.0


def test_refuses_a_map_of_another_size():
    with pytest.raises(InputError, match=r"`map` must be \(8, 8\), as the image"):
        deletion_curve(score_of(WHITE[0]), WHITE, torch.zeros(4, 4), BLACK)
    with pytest.raises(InputError, match="`b` must have the shape of the other map"):
        rank_correlation(torch.zeros(4), torch.zeros(5))
