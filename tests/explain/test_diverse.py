import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.explain import mean_pairwise_distance, select_diverse
from histoxplain.explain.diverse import choose, greedy_map, select_determinant


def greys(*values):
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 16, 16)


def test_mean_over_pairs():
    assert mean_pairwise_distance(greys(-1.0, 0.0, 1.0)) == pytest.approx((0.5 + 0.5 + 1.0) / 3)


def test_fine_grain_counts_less_than_colour():
    grain = torch.ones(3, 16, 16)
    grain[:, ::2] = -1
    fine = torch.stack([grain, -grain])
    assert mean_pairwise_distance(fine) == pytest.approx(1 / 3, abs=1e-5)
    assert mean_pairwise_distance(greys(-1.0, 1.0)) == pytest.approx(1.0)


def test_begins_with_the_cheapest_and_spreads():
    cost = torch.tensor([1.3, 1.0, 1.1, 1.2])
    assert select_diverse(greys(0.9, 0.0, 0.02, 0.4), cost, 3) == [1, 3, 0]


def test_dear_ones_are_left_out_unless_needed():
    x, cost = greys(0.0, 0.1, 1.0), torch.tensor([1.0, 1.1, 9.0])
    assert select_diverse(x, cost, 2) == [0, 1]
    assert select_diverse(x, cost, 3) == [0, 1, 2]
    assert select_diverse(x[:0], cost[:0], 3) == []


def test_greedy_growth_adds_the_largest_determinant_each_time(rng):
    rows = torch.randn(6, 4, generator=rng, dtype=torch.float64)
    kernel = rows @ rows.T
    chosen = greedy_map(kernel, 3)
    for size in (1, 2, 3):
        before = chosen[: size - 1]
        volumes = {
            i: float(torch.linalg.det(kernel[[*before, i]][:, [*before, i]])) for i in range(6) if i not in before
        }
        assert chosen[size - 1] == max(volumes, key=volumes.get)


def test_the_determinant_passes_over_copies():
    x, cost = greys(0.0, 0.0, 0.001, 0.5), torch.tensor([1.0, 1.01, 1.02, 1.5])
    assert select_determinant(x, cost, 2) == [0, 3]
    assert select_determinant(x, cost, 4) == [0, 1, 2, 3]
    assert select_determinant(x[:0], cost[:0], 2) == []


def test_unknown_selection():
    with pytest.raises(InputError, match="selection"):
        choose(greys(0.0), torch.ones(1), 1, "magic")
