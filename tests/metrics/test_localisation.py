import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.metrics import best_overlap, outside_share, overlap, pointing_game


@pytest.fixture
def mask():
    """The upper left quarter of an 8 x 8 image."""
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[:, :4, :4] = True
    return mask


def test_the_true_area_scores_full_marks(mask):
    change = -0.4 * mask.float()
    assert [f(change, mask).item() for f in (pointing_game, overlap, best_overlap)] == [1, 1, 1]
    assert outside_share(change, mask).item() == 0


def test_the_opposite_scores_nothing(mask):
    change = 0.4 * (~mask).float()
    assert [f(change, mask).item() for f in (pointing_game, overlap, outside_share)] == [0, 0, 1]
    assert best_overlap(change, mask).item() == 0.25  # what "everywhere" gets


def test_noise_points_as_often_as_the_area_is_large(mask, rng):
    change = torch.rand(4000, 8, 8, generator=rng)
    assert pointing_game(change, mask.expand(4000, 8, 8)).mean().item() == pytest.approx(0.25, abs=0.03)
    assert outside_share(change, mask.expand(4000, 8, 8)).mean().item() == pytest.approx(0.75, abs=0.01)


def test_numbers_on_paper(mask):
    change = torch.zeros(1, 8, 8)
    change[0, :4, :4] = 0.2  # 16 pixels of the area
    change[0, 4:, 4:6] = 0.1  # 8 beside it
    assert overlap(change, mask).item() == pytest.approx(16 / 24)
    assert overlap(change, mask, threshold=0.15).item() == 1
    assert best_overlap(change, mask).item() == 1
    assert outside_share(change, mask).item() == pytest.approx(0.8 / 4.0)
    assert pointing_game(0 * change, mask).item() == 0.25  # nothing points anywhere: chance


def test_wrong_arguments(mask):
    change = torch.zeros(1, 8, 8)
    for arguments, words in (
        ((change[0], mask), "`change` must have shape"),
        ((change, mask[:, :4]), "`mask` must have shape"),
        ((change, mask.float()), "`mask` must be boolean"),
        ((change, mask & ~mask), "mark at least one pixel"),
        ((change / 0, mask), "`change` must be finite"),
    ):
        with pytest.raises(InputError, match=words):
            outside_share(*arguments)
