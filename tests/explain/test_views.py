import pytest
import torch

from histoxplain.explain.views import faded, fixed_views, moved, random_view, softened


def test_views_keep_the_size_and_are_always_the_same(rng):
    x = torch.rand(2, 3, 16, 16, generator=rng)
    assert [view.shape for view in fixed_views(x)] == [(2, 3, 16, 16)] * 3
    assert all(a.equal(b) for a, b in zip(fixed_views(x), fixed_views(x)))


def test_fading_keeps_the_brightness_and_a_share_of_the_colour():
    x = torch.tensor([0.9, 0.0, -0.3])[None, :, None, None]
    assert faded(x, 0.5).flatten().tolist() == pytest.approx([0.55, 0.1, -0.05])


def test_softening_averages_neighbours():
    x = torch.zeros(1, 1, 8, 8)
    x[..., 4, 4] = 9
    assert softened(x)[0, 0, 3:6, 3:6].eq(1).all()
    assert softened(x).sum() == 9
    large = torch.zeros(1, 1, 128, 128)
    large[..., 60, 60] = 25
    assert softened(large)[0, 0, 58:63, 58:63].sub(1).abs().max() < 1e-6  # the same share of a larger image


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
