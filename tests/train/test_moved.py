from itertools import product

import pytest
import torch
import torch.nn.functional as F

from histoxplain.train.moved import Move

MOVES = [Move(*one) for one in product(range(4), (False, True), (-2, 0, 1), (-1, 0, 2))]


@pytest.mark.parametrize("move", MOVES, ids=str)
def test_what_an_image_shows_goes_along_in_its_map(move, rng):
    """Means of cells are a map that knows nothing of places."""
    x = torch.rand(2, 3, 24, 24, generator=rng)
    here, there = move.same(F.avg_pool2d(x, 3), F.avg_pool2d(move.images(x, 8), 3))
    assert here.shape == there.shape == (2, 3, 8 - abs(move.down), 8 - abs(move.right))
    torch.testing.assert_close(here, there)


def test_a_map_of_places_does_not_go_along():
    places = torch.arange(64.0).reshape(1, 1, 8, 8)
    for move in MOVES:
        here, there = move.same(places, places)
        assert here.equal(there) == (move == Move())


def test_what_comes_in_is_what_the_edge_mirrors():
    x = torch.arange(8.0).expand(1, 1, 8, 8)
    assert Move(right=1).images(x, 4)[0, 0, 0].tolist() == [2, 1, 0, 1, 2, 3, 4, 5]
    assert Move(right=-1).images(x, 4)[0, 0, 0].tolist() == [2, 3, 4, 5, 6, 7, 6, 5]


def test_moves_by_chance(rng):
    moves = {Move.any(32, 8, rng) for _ in range(2000)}
    assert moves == {Move(*one) for one in product(range(4), (False, True), range(-2, 3), range(-2, 3))}
    assert {move[2:] for move in (Move.any(30, 8, rng) for _ in range(20))} == {(0, 0)}  # cells are no whole pixels
