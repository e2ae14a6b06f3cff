from types import SimpleNamespace

import pytest
import torch
from torch import nn

from histoxplain import InputError
from histoxplain.data import Case
from histoxplain.data.synthetic import CLASS_NAMES
from histoxplain.evaluation import measure_masks
from histoxplain.evaluation.best_masks import best_masks
from histoxplain.evaluation.questions import Cases
from histoxplain.explain import Inpainting


class Bright(nn.Module):
    """Diseased where any pixel is bright."""

    class_names, resolution, channels = CLASS_NAMES, 16, 1

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.layer.weight)

    def forward(self, x):
        bright = 20 * (self.layer(x).flatten(1).amax(1) - 0.4)
        return torch.stack([torch.zeros_like(bright), bright], 1)

    def probabilities(self, x):
        return self(x).softmax(1)


class Cap(nn.Module):
    """Makes dark what is bright, and a column at the left of it."""

    config, channels, resolution, class_names = SimpleNamespace(normal=0), 1, 16, CLASS_NAMES

    def forward(self, x, condition=None):
        grown = (x > 0.3) | (x.roll(-1, 3) > 0.3)
        return torch.where(grown, -0.9, x)


@pytest.fixture
def bundle():
    return SimpleNamespace(
        name="bright",
        generator=None,
        oracle=None,
        classifier=Bright().eval(),
        inpainter=Cap().eval(),
        class_names=CLASS_NAMES,
        resolution=16,
        info={"mask": {"threshold": 0.05}},
    )


def scene(top, left, level=0.8, mask=True):
    """A square of 4 x 6 pixels, and its mask."""
    x, truth = torch.full((1, 16, 16), -0.5), torch.zeros(16, 16, dtype=torch.bool)
    if level is not None:
        x[:, top : top + 4, left : left + 6] = level
        truth[top : top + 4, left : left + 6] = True
    return x, truth if mask else None


def cases(*levels, mask=True):
    made = []
    for i, level in enumerate(levels):
        x, truth = scene(2 + i, 3 + i, level, mask)
        made.append(Case(x, int(level is not None), f"c{i}", mask=truth))
    return Cases(made, CLASS_NAMES)


def test_figures_are_those_known_on_paper(bundle):
    source = cases(0.8, None, 0.8, 0.35)  # the last one the classifier overlooks
    found = measure_masks(Inpainting(bundle), source, 4, baselines=("grad-cam", "rise"), rise_masks=64)
    ours, *others = found.rows
    # the mask of what is found is a column too wide: 24 of 28 pixels; what is overlooked has an empty mask
    assert ours.method == "inpainting"
    assert ours.scores["iou"].value == pytest.approx((2 * 24 / 28) / 3)
    assert ours.scores["recall"].value == pytest.approx(2 / 3)
    assert ours.scores["precision"].value == pytest.approx((2 * 24 / 28) / 3)
    assert ours.threshold.startswith("0.050")
    assert (found.abnormal, found.normal) == (3, 1)
    assert found.found.value == pytest.approx(2 / 3)
    assert found.validity.value == pytest.approx(2 / 3)
    assert found.false_alarms.value == 0
    assert [row.method for row in others] == ["grad-cam", "rise", "everything"]
    assert others[0].threshold.endswith(", layer")  # the only one there is
    assert others[-1].scores["iou"].value == pytest.approx(24 / 256)
    best = max(row.scores["iou"].value for row in others)
    assert found.ahead.value == pytest.approx(ours.scores["iou"].value - best)
    text = found.table()
    assert "inpainting" in text
    assert "everything" in text
    assert set(found.to_dict()["rows"][0]) == {"method", "threshold", "iou", "dice", "precision", "recall"}


def test_labels_of_other_images_choose_the_threshold(bundle):
    bundle.info["mask"]["threshold"] = 0.9  # more than anything changes
    source, others = cases(0.8, 0.8, None), cases(0.8, None, 0.8, None, mask=False)
    plain = measure_masks(Inpainting(bundle), source, 3, baselines=())
    assert plain.rows[0].scores["iou"].value == 0
    for rule, iou in (("quantile", 24 / 28), ("balanced", 24 / 28), ("sufficient", 1)):  # the last needs no column more
        chosen = measure_masks(Inpainting(bundle), source, 3, validation=others, rule=rule, baselines=())
        assert chosen.rows[0].scores["iou"].value == pytest.approx(iou)
        assert f" others ({rule})" in chosen.rows[0].threshold
    with pytest.raises(InputError, match="`rule` must be one of balanced, quantile, sufficient"):
        measure_masks(Inpainting(bundle), source, 3, validation=others, rule="suficient", baselines=())


def test_the_best_threshold_is_found(rng):
    truth = torch.rand(5, 8, 8, generator=rng) < 0.3
    maps = torch.rand(5, 8, 8, generator=rng) * 0.4 + 0.6 * truth
    masks, said = best_masks(maps * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])[:, None, None], truth)
    assert torch.equal(masks, truth)
    assert "of the peak" in said


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            cases(0.8, None, mask=False),
            "`data` must hold a mask for every image, got none for c0; prepare it with masks",
        ),
        (cases(None, None), "`data` must hold an abnormal image, one whose mask is not empty, got none in 2"),
    ],
)
def test_what_cannot_be_measured_is_one_line(bundle, source, message):
    with pytest.raises(InputError, match=message):
        measure_masks(Inpainting(bundle), source, 2, baselines=())


def test_masks_of_another_shape_are_refused(bundle):
    x, truth = scene(2, 3)
    image = torch.nn.functional.pad(x, (8, 8), value=-0.5)
    source = Cases([Case(image, 1, "wide", mask=torch.nn.functional.pad(truth, (8, 8)))], CLASS_NAMES)
    with pytest.raises(
        InputError, match=r"`masks` must be as large as the images, \(16, 16\), got \(16, 32\) for wide"
    ):
        measure_masks(Inpainting(bundle, fit=True), source, 1, baselines=())
