import torch

from histoxplain.explain.greedy import Greedy


def linear(weights, goal, told=None, **options):
    """A search where effects add up; `told` is what its gradient says of them."""
    told = weights if told is None else told
    return Greedy(
        lambda steps, rows: told[rows],
        lambda steps, rows, turn: (steps * weights[rows]).sum(1),
        lambda steps, rows: (steps * weights[rows]).sum(1) - goal,
        **options,
    )


def box(weights):
    return -torch.ones_like(weights), torch.ones_like(weights)


def test_the_fewest_where_effects_add_up(rng):
    weights = torch.randn(6, 40, generator=rng)
    steps, reached = linear(weights, 6.0)(*box(weights))
    assert reached.all()
    ranked = weights.abs().sort(1, descending=True).values.cumsum(1)
    assert (steps != 0).sum(1).tolist() == ((ranked < 6).sum(1) + 1).tolist()
    assert (steps * weights >= 0).all()


def test_what_is_measured_counts_not_what_the_gradient_says():
    weights = torch.tensor([[1.0, 2.0, 3.0, 0.1]])
    told = torch.tensor([[3.0, 2.0, 1.0, 0.1]])
    steps, _ = linear(weights, 3.0, told, tried=3)(*box(weights))
    assert steps.tolist() == [[0.0, 0.0, 1.0, 0.0]]
    steps, _ = linear(weights, 2.0, told, tried=2)(*box(weights))
    assert steps.tolist() == [[0.0, 1.0, 0.0, 0.0]]


def test_where_none_of_the_candidates_helps_the_next_ones_are_tried():
    weights = torch.tensor([[-1.0, -1.0, 2.0, -1.0]])
    told = torch.tensor([[4.0, 3.0, 2.0, 1.0]])
    steps, reached = linear(weights, 2.0, told, tried=2)(torch.zeros(1, 4), torch.ones(1, 4))
    assert steps.tolist() == [[0.0, 0.0, 1.0, 0.0]]
    assert reached.all()


def test_it_ends_where_nothing_helps_or_too_many_would_be_needed():
    weights = torch.tensor([[1.0] * 50, [-1.0] * 50])
    steps, reached = linear(weights, 40.0, weights.abs(), most=21)(torch.zeros(2, 50), torch.ones(2, 50))
    assert reached.tolist() == [False, False]
    assert (steps != 0).sum(1).tolist() == [21, 0]


def test_coordinates_without_room_stay(rng):
    weights = torch.rand(1, 12, generator=rng)
    free = torch.arange(12) % 3 == 0
    steps, _ = linear(weights, 99.0)(-1.0 * free[None], 1.0 * free[None])
    assert ((steps != 0) == free).all()
