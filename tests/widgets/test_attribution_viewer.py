import pytest
import torch

from histoxplain import InputError
from histoxplain.explain import attribute
from histoxplain.widgets import AttributionViewer


def half_red(x):
    p = x[..., :8].mean((1, 2, 3)) / 2 + 0.5
    return torch.stack([1 - p, p], 1)


@pytest.fixture
def viewer():
    image = torch.ones(3, 16, 16)
    options = {"target": 1, "baseline": -1.0, "class_names": ("pale", "red")}
    return AttributionViewer(
        half_red, [attribute(half_red, image, m, **options) for m in ("occlusion", "rise")], side=64
    )


def test_the_slider_keeps_what_matters(viewer):
    few = viewer.kept.value
    viewer.share.value = 0.9
    assert viewer.kept_text.value == "<b style='font-size:13px'>the 90% that matter most</b>"
    assert viewer.kept.value == few  # of a white image the blurred rest is white, too
    assert "red" in viewer.after.value


def test_another_map_is_shown_when_chosen(viewer):
    before = viewer.overlay.value
    viewer.which.value = 1
    assert viewer.attribution.method == "rise"
    assert viewer.overlay.value != before


def test_leaves_a_still_where_widgets_cannot_live(viewer):
    bundle = viewer._repr_mimebundle_()
    assert bundle["image/jpeg"][:2] == b"\xff\xd8"
    assert bundle["text/plain"] == "AttributionViewer(2 maps, showing Attribution('image-1', occlusion, red 100%))"


def test_refuses():
    with pytest.raises(InputError, match="`attributions` must hold at least one"):
        AttributionViewer(half_red, [])
