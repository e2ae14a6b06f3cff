import torch

from histoxplain.explain.stagewise import stagewise


def linear(weights, goal):
    return lambda u: ((u * weights).sum(1) - goal, weights)


def test_steepest_coordinates_alone_move_where_they_suffice():
    weights = torch.tensor([[5.0, 1.0, -1.0], [1.0, 1.0, 8.0]])
    u = stagewise(linear(weights, 3.0), -torch.ones(2, 3), torch.ones(2, 3), steps=9)
    assert (u != 0).tolist() == [[True, False, False], [False, False, True]]
    assert ((u * weights).sum(1) >= 3.0).all()


def test_the_box_holds_and_closed_coordinates_stay():
    weights, high = torch.tensor([[9.0, 2.0, 2.0]]), torch.tensor([[0.0, 1.0, 0.25]])
    u = stagewise(linear(weights, 99.0), torch.zeros(1, 3), high, steps=50)
    assert u.tolist() == high.tolist()
