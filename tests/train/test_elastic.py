import torch

from histoxplain.train.elastic import bend


def ramp(side=32):
    across = torch.linspace(-1, 1, side).expand(side, side)
    return torch.stack([across, across.T])[None]


def test_pixels_move_smoothly_and_by_about_so_much(rng):
    x = ramp().expand(16, -1, -1, -1)
    moved = (bend(x, 0.05, rng) - x)[..., 6:-6, 6:-6] / 2 * 31 / 32  # shares of the side
    assert 0.03 < moved.std() < 0.08
    steps = moved.diff(dim=3).abs().max()
    assert steps < 0.05  # a neighbour never jumps by more than a pixel and a half


def test_each_image_bends_in_its_own_way_and_seeds_repeat(rng):
    x = torch.rand(2, 1, 16, 16, generator=rng)[:1].repeat(2, 1, 1, 1)
    a, b = (bend(x, 0.05, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(a, b)
    assert (a[0] - a[1]).abs().max() > 0.05
    assert a.shape == x.shape
    assert a.abs().max() <= 1
