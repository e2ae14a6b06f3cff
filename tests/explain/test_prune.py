from itertools import combinations

import torch

from histoxplain.explain.prune import fewest, prune


def enough_of(weights, goal):
    return lambda kept, rows: (kept.float() * weights[rows]).sum(1) - goal


def test_fewest_is_the_least_by_trying_all(rng):
    weights = torch.rand(5, 9, generator=rng)
    order = weights.argsort(1, descending=True)
    kept, ok = fewest(enough_of(weights, 2.0), order, torch.full((5,), 9))
    for row, (mine, good) in enumerate(zip(kept, ok)):
        sizes = [
            k for k in range(1, 10) if any(weights[row, list(some)].sum() >= 2 for some in combinations(range(9), k))
        ]
        assert bool(good) == bool(sizes)
        if good:
            assert int(mine.sum()) == sizes[0]


def test_rows_that_never_suffice_are_told():
    _, ok = fewest(enough_of(torch.ones(2, 4), torch.tensor(9.0)), torch.arange(4).expand(2, -1), torch.tensor([4, 0]))
    assert ok.tolist() == [False, False]


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
