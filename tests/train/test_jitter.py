import pytest
import torch

from histoxplain.train.jitter import add_noise, colour_matrices, jitter, orient, recolour, sharpen, zoom


def test_all_eight_orientations_appear(rng):
    square = torch.arange(4.0).reshape(1, 1, 2, 2)
    found = orient(square.expand(200, 1, 2, 2), rng).flatten(1)
    expected = {
        tuple(torch.rot90(flipped, turns, (2, 3)).flatten().tolist())
        for flipped in (square, square.flip(3))
        for turns in range(4)
    }
    assert {tuple(image.tolist()) for image in found} == expected


def test_nothing_changes_at_strength_zero(rng):
    x = torch.rand(2, 3, 8, 8, generator=rng) * 2 - 1
    matrix, offset = colour_matrices(2, 0.0, rng)
    assert torch.allclose(matrix, torch.eye(3).expand(2, 3, 3), atol=1e-6)
    assert torch.equal(offset, torch.zeros(2, 3))
    assert torch.allclose(zoom(x, 0.0, rng), x, atol=1e-5)
    assert torch.allclose(sharpen(x, 0.0, rng), x)
    assert torch.equal(add_noise(x, 0.0, rng), x)
    assert torch.equal(jitter(x, rng, orientations=False, zoom_by=0, colour=0, sharpness=0, noise=0), x)


def test_plain_images_stay_plain(rng):
    grey = torch.full((4, 3, 8, 8), 0.25)
    assert torch.allclose(zoom(grey, 0.5, rng), grey, atol=1e-5)
    assert torch.allclose(sharpen(grey, 0.9, rng), grey)
    moved = recolour(grey, *colour_matrices(4, 0.3, rng))
    assert torch.allclose(moved, moved[:, :, :1, :1].expand_as(moved))
    assert moved[:, 0, 0, 0].unique().numel() == 4


def test_hue_and_saturation_leave_black_and_white_grey(rng):
    matrix, _ = colour_matrices(50, 0.3, rng)
    white = matrix.sum(dim=2)  # what (1, 1, 1) becomes: contrast times the channel gains
    assert white.min() > 0.5
    assert white.max() < 1.8


@pytest.mark.parametrize("channels", [1, 3])
def test_result_is_an_image_and_depends_on_the_seed_only(channels):
    x = torch.linspace(-1, 1, 2 * channels * 64).reshape(2, channels, 8, 8)
    first, again, other = (jitter(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == x.shape
    assert first.abs().max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
