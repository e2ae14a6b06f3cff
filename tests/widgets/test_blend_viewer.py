from dataclasses import replace

import pytest
import torch

from histoxplain import InputError
from histoxplain.explain import Explanation, quantised
from histoxplain.explain.change import change_map
from histoxplain.widgets import BlendViewer


@pytest.fixture
def viewer(bundle):
    """A grey image whose upper half turns bright by 0.8 of the way from black to white, once it is all the way."""
    original = torch.full((3, 16, 16), -0.6)
    bright = original.clone()
    bright[:, :8] = 1.0
    p = bundle.classifier.probabilities(torch.stack([original, bright]))
    one = Explanation(
        method="cyclegan",
        case_id="a",
        original=quantised(original),
        counterfactuals=quantised(bright)[None],
        class_names=bundle.class_names,
        source_class=0,
        target_class=2,
        probabilities_before=p[0],
        probabilities_after=p[1:],
        valid=torch.tensor([True]),
        change=change_map(original, bright)[None],
    )
    return BlendViewer(bundle, [one, replace(one, case_id="b")], side=64)


def test_the_blend_lies_between_both(viewer, bundle):
    e = viewer.explanation
    for share, wanted in ((0.0, e.original), (1.0, e.counterfactuals[0])):
        viewer.blend.value = share
        assert torch.equal(viewer.blended, wanted)
    viewer.blend.value = 0.5
    assert torch.allclose(viewer.blended[:, 0, 0], torch.tensor(0.2), atol=0.01)
    (heard,) = viewer.opinions()
    assert torch.allclose(heard, bundle.classifier.probabilities(viewer.blended[None])[0])
    assert viewer.image_text.value == "<b style='font-size:13px'>50% of the way to red</b>"


def test_the_threshold_hides_smaller_changes(viewer):
    viewer.blend.value = 0.5  # half of the pixels changed by 0.4 of the way from black to white
    coloured = viewer.changed.value
    assert "changed by 10% or more: 50% of the pixels" in viewer.changed_text.value
    viewer.threshold.value = 0.39
    assert viewer.changed.value == coloured
    viewer.threshold.value = 0.42
    assert "changed by 42% or more: 0% of the pixels" in viewer.changed_text.value
    assert viewer.changed.value != coloured


def test_a_second_classifier_is_heard(viewer, bundle):
    assert viewer.second.value == ""
    viewer.bundle = type(bundle)(**{**vars(bundle), "oracle": bundle.classifier})
    viewer.which.value = 1
    assert "a second, independent classifier" in viewer.second.value
    assert repr(viewer) == "BlendViewer(2 images, showing b)"


def test_leaves_a_still_where_widgets_cannot_live(viewer):
    assert viewer._repr_mimebundle_()["image/jpeg"][:2] == b"\xff\xd8"


def test_refuses(viewer, bundle):
    nothing = replace(
        viewer.explanation,
        counterfactuals=torch.zeros(0, 3, 16, 16),
        probabilities_after=torch.zeros(0, 3),
        valid=torch.zeros(0, dtype=torch.bool),
        change=torch.zeros(0, 16, 16),
    )
    with pytest.raises(InputError, match="`explanations` must hold a counterfactual"):
        BlendViewer(bundle, [nothing])
    with pytest.raises(InputError, match="`threshold`"):
        BlendViewer(bundle, [viewer.explanation], threshold=2)
