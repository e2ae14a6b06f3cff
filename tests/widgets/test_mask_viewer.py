from dataclasses import replace

import pytest
import torch

from histoxplain import InputError
from histoxplain.explain import Explanation
from histoxplain.widgets import MaskSession, MaskViewer


def square(left, change):
    """A record that brightened a square of 4 x 4 by a share of black to white."""
    x = torch.full((1, 16, 16), -0.5)
    y = x.clone()
    y[:, 4:8, left : left + 4] += 2 * change
    return Explanation(
        method="inpainting",
        case_id=f"square-{left}",
        original=x,
        counterfactuals=y[None],
        class_names=("normal", "ill"),
        source_class=1,
        target_class=0,
        probabilities_before=torch.tensor([0.0, 1.0]),
        probabilities_after=torch.tensor([[1.0, 0.0]]),
        valid=torch.tensor([True]),
        change=(y - x) / 2,
        masks=torch.zeros(1, 16, 16, dtype=torch.bool),
        settings={"mask": {"threshold": 0.1, "smooth": 0.0, "opening": 0, "closing": 0, "largest": False}},
    )


@pytest.fixture
def viewer():
    truth = torch.zeros(16, 16, dtype=torch.bool)
    truth[4:8, 2:10] = True  # twice as wide as the first square
    return MaskViewer([square(2, 0.3), square(6, 0.2)], [truth, truth], side=48)


def test_the_slider_moves_the_mask(viewer):
    assert viewer.threshold.value == 0.1
    assert viewer.said() == "6% of the image, iou 0.50, dice 0.67, precision 1.00, recall 0.50"
    before = viewer.pictures.value
    viewer.threshold.value = 0.31
    assert viewer.said().startswith("0% of the image, iou 0.00")
    assert viewer.pictures.value != before


def test_another_image_is_shown_when_chosen(viewer):
    viewer.threshold.value = 0.25
    assert viewer.session.mask(0, viewer.settings).sum() == 16
    viewer.which.value = 1
    assert viewer.said().startswith("0% of the image")


def test_truth_need_not_be_known(viewer):
    alone = MaskViewer([square(2, 0.3)], side=48)
    assert alone.said() == "6% of the image"
    assert alone._repr_mimebundle_()["image/jpeg"][:2] == b"\xff\xd8"
    assert repr(alone) == "MaskViewer(1 images, showing 6% of the image)"


def test_refuses():
    with pytest.raises(InputError, match="`explanations` must hold at least one"):
        MaskSession([])
    with pytest.raises(InputError, match="`truths` must be one for each of 1 explanations, got 0"):
        MaskSession([square(2, 0.3)], [])
    one = square(2, 0.3)
    none = {
        name: getattr(one, name)[:0] for name in ("counterfactuals", "valid", "change", "probabilities_after", "masks")
    }
    with pytest.raises(InputError, match="`explanations` must have a counterfactual each"):
        MaskSession([replace(one, **none)])
