import pytest
import torch

from histoxplain.explain.search import Move, bisect, bracket, descend

GOALS = torch.tensor([0.3, 0.9, 7.0])


def past(points, rows):
    return points[:, 0] - GOALS[rows]


def test_bracket_finds_the_first_interval_of_each_move():
    low, high = bracket(past, torch.zeros(3, 1), torch.ones(3, 1), grid=(0.25, 0.5, 1.0))
    assert low.tolist() == [0.25, 0.5, 1.0]
    assert high.tolist() == [0.5, 1.0, float("inf")]


def test_bisection_returns_arrived_points_within_its_precision():
    alpha = bisect(past, torch.zeros(2, 1), torch.ones(2, 1), torch.tensor([0.25, 0.5]), torch.tensor([0.5, 1.0]), 10)
    assert (alpha >= GOALS[:2]).all()
    assert alpha.tolist() == pytest.approx([0.3, 0.9], abs=1e-3)


def test_bisecting_nothing():
    empty = torch.zeros(0, 1)
    assert bisect(past, empty, empty, empty[:, 0], empty[:, 0]).shape == (0,)


def test_descend_minimises_rows_independently():
    aim = torch.tensor([[0.5, -0.25], [1.0, 0.0]])
    found = descend(lambda u, _: (u - aim).square().sum(), torch.zeros(2, 2), steps=100)
    assert found.flatten().tolist() == pytest.approx(aim.flatten().tolist(), abs=0.02)


def test_move_is_a_straight_path():
    move = Move(torch.zeros(2, 3), torch.ones(2, 3), "test")
    assert move.at(0.25).eq(0.25).all()
