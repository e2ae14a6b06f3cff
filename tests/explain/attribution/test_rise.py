import pytest
import torch

from histoxplain import InputError
from histoxplain.explain.attribution.rise import random_masks, rise

BLACK = torch.full((1, 16, 16), -1.0)


def one_pixel(x):
    """The brightness of the pixel at row 4, column 11, from 0 to 1."""
    return x[:, 0, 4, 11] / 2 + 0.5


def test_masks_show_the_share_they_should(rng):
    masks = random_masks(4000, 20, 12, grid=4, p=0.3, rng=rng)
    assert masks.shape == (4000, 1, 20, 12)
    assert masks.min() >= 0
    assert masks.max() <= 1
    torch.testing.assert_close(masks.mean(0)[0], torch.full((20, 12), 0.3), atol=0.03, rtol=0)


def test_a_score_that_never_changes_is_a_flat_map():
    found = rise(lambda x: torch.full((len(x),), 0.7), -BLACK, BLACK, masks=40)
    torch.testing.assert_close(found, torch.full((16, 16), 0.7))


def test_finds_the_pixel_that_counts_and_what_it_counts():
    found = rise(one_pixel, -BLACK, BLACK, masks=3000, grid=4)
    down, right = divmod(int(found.argmax()), 16)
    assert max(abs(down - 4), abs(right - 11)) <= 1
    # While that pixel is visible by m, the score is m: the weighted mean is E[m^2] / E[m]; far from it, E[m] = 0.5.
    masks = random_masks(3000, 16, 16, grid=4, rng=torch.Generator().manual_seed(1))[:, 0, 4, 11]
    assert float(found[4, 11]) == pytest.approx(float(masks.square().mean() / masks.mean()), abs=0.03)
    assert float(found[12:, :4].mean()) == pytest.approx(0.5, abs=0.03)


def test_masks_do_not_depend_on_the_batch():
    torch.testing.assert_close(*(rise(one_pixel, -BLACK, BLACK, masks=70, batch_size=size) for size in (7, 64)))


@pytest.mark.parametrize("bad", [{"masks": 0}, {"grid": 0}, {"p": 0.0}, {"p": 1.5}])
def test_refuses(bad):
    with pytest.raises(InputError, match=f"`{next(iter(bad))}` must"):
        rise(one_pixel, -BLACK, BLACK, **bad)
