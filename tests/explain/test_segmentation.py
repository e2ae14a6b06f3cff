import pytest
import torch

from histoxplain import InputError
from histoxplain.data.synthetic import repaint, tissue
from histoxplain.explain import MaskSettings, choose_threshold, difference_map
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


def test_odd_settings_are_refused():
    for settings in ({"threshold": 1.5}, {"opening": -1}, {"closing": 0.5}, {"smooth": -1}):
        with pytest.raises(InputError, match=f"`{next(iter(settings))}` must"):
            MaskSettings(**settings)
