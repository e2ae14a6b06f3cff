import torch

from histoxplain.explain.prune import prune


def enough_of(weights, goal):
    return lambda kept, rows: (kept.float() * weights[rows]).sum(1) - goal


def test_after_pruning_nothing_can_be_left_out(rng):
    weights = torch.rand(4, 40, generator=rng)
    enough = enough_of(weights, 5.0)
    kept = prune(enough, torch.ones(4, 40, dtype=torch.bool), weights)
    rows = torch.arange(4)
    assert (enough(kept, rows) >= 0).all()
    for place in range(40):
        fewer = kept.clone()
        fewer[:, place] = False
        assert ((enough(fewer, rows) < 0) | ~kept[:, place]).all()


def test_least_worth_goes_first():
    weights = torch.tensor([[3.0, 2.0, 1.0, 1.0]])
    assert prune(enough_of(weights, 5.0), torch.ones(1, 4, dtype=torch.bool), weights).tolist() == [
        [True, True, False, False]
    ]
