import pytest
import torch

from histoxplain import InputError
from histoxplain.data.synthetic import repaint, tissue
from histoxplain.explain import MaskSettings, choose_threshold, difference_map, sufficient_threshold
from histoxplain.metrics import segmentation_scores


def square(side, *boxes):
    """A map of ones in boxes (top, bottom, left, right)."""
    x = torch.zeros(1, side, side)
    for top, bottom, left, right in boxes:
        x[:, top:bottom, left:right] = 1
    return x


def test_each_step_of_tidying_up_is_an_argument():
    maps = square(20, (2, 10, 2, 10), (12, 18, 12, 18), (15, 16, 2, 3))  # two blocks and a speck
    maps[0, 5, 5] = 0  # a hole
    plain = MaskSettings(threshold=0.5)(maps)
    assert plain.sum() == 63 + 36 + 1
    opened = MaskSettings(threshold=0.5, opening=1)(maps)
    assert not opened[0, 15, 2]
    closed = MaskSettings(threshold=0.5, closing=1)(maps)
    assert closed[0, 5, 5]
    assert closed[0, 15, 2]
    assert closed.sum() == 64 + 36 + 1
    assert MaskSettings(threshold=0.5, closing=1, largest=True)(maps).sum() == 64
    assert MaskSettings(threshold=1.0)(maps).sum() == 0  # larger than, not as large as


def test_smoothing_takes_specks_away_and_fills_holes():
    maps = square(21, (4, 16, 4, 16), (18, 19, 18, 19))
    maps[0, 10, 10] = 0
    found = MaskSettings(threshold=0.4, smooth=1.5)(maps)
    assert found[0, 10, 10]
    assert not found[0, 18, 18]


def test_what_is_found_normal_has_no_mask():
    maps = square(4, (0, 2, 0, 2)).repeat(2, 1, 1)
    assert MaskSettings(threshold=0.5)(maps, torch.tensor([True, False])).sum((1, 2)).tolist() == [4, 0]


def test_the_true_counterfactual_gives_the_true_mask():
    sick = tissue(12, 64, seed=5, share=1, extent=(0.05, 0.35))
    x, healed = (torch.stack([case.image for case in cases]) for cases in (sick, [repaint(c, extent=0) for c in sick]))
    found = MaskSettings(threshold=0.04, closing=3)(difference_map(x, healed))
    iou = segmentation_scores(found, torch.stack([case.mask for case in sick]))["iou"]
    assert iou.mean() > 0.8


def test_thresholds_from_the_labels_of_images():
    maps = torch.stack([torch.full((4, 4), level) for level in (0.05, 0.1, 0.6, 0.7)])
    labels = torch.tensor([False, False, True, True])
    assert 0.1 <= choose_threshold(maps, labels, "balanced") < 0.11  # the least that parts them
    assert choose_threshold(maps, labels, quantile=1.0) == pytest.approx(0.1)
    assert choose_threshold(maps, labels, quantile=0.0) == pytest.approx(0.05)
    for rule in ("balanced", "quantile"):
        with pytest.raises(InputError, match="`data` must have abnormal images to choose a threshold by, got none"):
            choose_threshold(maps[:2], labels[:2], rule)
        with pytest.raises(InputError, match="`data` must have normal images to choose a threshold by, got none"):
            choose_threshold(maps[2:], labels[2:], rule)


def test_the_smallest_masks_that_are_enough():
    """Images are abnormal by 8 bright pixels, changed by .4; 2 faint ones, changed by .1, do not matter."""
    x = torch.full((20, 1, 6, 6), -1.0)
    x[:, :, 1, 1:5] = x[:, :, 2, 1:5] = -0.2
    x[:, :, 4, 1:3] = -0.8
    healthy = torch.full_like(x, -1.0)

    def is_normal(images):
        return (images > -0.5).sum((1, 2, 3)) <= 1

    assert sufficient_threshold(x, healthy, is_normal) == pytest.approx(0.4, abs=1e-3)
    healthy[:, :, 2, 3:5] = -0.6  # two of them have to change by less, and still have to
    assert sufficient_threshold(x, healthy, is_normal) == pytest.approx(0.2, abs=1e-3)
    healthy[:3] = x[:3]  # some stay as they are, and have no say
    assert sufficient_threshold(x, healthy, is_normal) == pytest.approx(0.2, abs=1e-3)
    x[4:6, :, 1:3] = -1.0
    x[4:6, :, 4, 3:5] = -0.4  # these are abnormal by pixels that change by .1: nine in ten are enough without them
    healthy[4:6, :, 4, 3:5] = -0.6
    assert sufficient_threshold(x, healthy, is_normal) == pytest.approx(0.1, abs=1e-3)
    assert sufficient_threshold(x, healthy, is_normal, 0.8) == pytest.approx(0.2, abs=1e-3)
    with pytest.raises(InputError, match="have counterfactuals that the classifier finds normal, got none"):
        sufficient_threshold(x, x, lambda images: torch.zeros(len(images), dtype=torch.bool))


def test_odd_settings_are_refused():
    for settings in ({"threshold": 1.5}, {"opening": -1}, {"closing": 0.5}, {"smooth": -1}):
        with pytest.raises(InputError, match=f"`{next(iter(settings))}` must"):
            MaskSettings(**settings)
