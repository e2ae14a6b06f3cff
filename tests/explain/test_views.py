import pytest
import torch

from histoxplain.explain.views import FIXED, moved, random_view


@pytest.mark.parametrize("view", FIXED)
def test_views_keep_the_size(view):
    assert moved(torch.rand(2, 3, 16, 16), *view).shape == (2, 3, 16, 16)


def test_shift_moves_down_and_right():
    x = torch.zeros(1, 1, 8, 8)
    x[..., 3, 4] = 1
    assert moved(x, 0, False, 2, -1)[0, 0].nonzero().tolist() == [[5, 3]]


def test_mirror_comes_before_the_turn():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]
    assert moved(x, 1, True, 0, 0)[0, 0].tolist() == [[1.0, 3.0], [2.0, 4.0]]


def test_a_random_view_is_its_seed():
    x = torch.rand(1, 3, 16, 16)
    one, two = (random_view(x, torch.Generator().manual_seed(3)) for _ in range(2))
    assert one.equal(two)
    assert not one.equal(random_view(x, torch.Generator().manual_seed(4)))
