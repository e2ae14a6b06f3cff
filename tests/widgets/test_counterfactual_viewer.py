from io import BytesIO

import pytest
from PIL import Image

from histoxplain import InputError
from histoxplain.widgets import CounterfactualSession, CounterfactualViewer, generated


@pytest.fixture(scope="module")
def session(bundle):
    return CounterfactualSession(bundle, generated(bundle, each=1), steps=5)


@pytest.fixture
def viewer(session):
    return CounterfactualViewer(session, side=64)


def test_opens_on_an_answer(viewer):
    assert viewer.explanation is not None
    assert viewer.step.value == 4
    assert "counterfactual:" in viewer.now_text.value
    assert all(image.value for image in (viewer.before, viewer.now, viewer.change))


def test_the_slider_walks(viewer):
    before = viewer.now.value, viewer.change.value, viewer.curve.value, viewer.now_bars.value
    viewer.step.value = 2
    after = viewer.now.value, viewer.change.value, viewer.curve.value, viewer.now_bars.value
    assert all(a != b for a, b in zip(before, after))
    assert "50% of the way" in viewer.now_text.value
    viewer.step.value = 0
    assert "start" in viewer.now_text.value


def test_another_image_waits_for_the_button(viewer, session):
    viewer.image.index = 2
    assert viewer.explanation is None
    assert viewer.step.disabled
    assert list(viewer.target.options) == session.targets(2)
    viewer.target.index = 1
    viewer.button.click()
    assert viewer.explanation.case_id == session.specimens[2].name
    assert session.class_names[viewer.explanation.target_class] == session.targets(2)[1]
    assert not viewer.step.disabled


def test_several_ways_can_be_compared(viewer):
    viewer.count.value = 2
    viewer.button.click()
    assert len(viewer.which.options) == len(viewer.explanation)
    if len(viewer.explanation) > 1:
        before = viewer.now.value
        viewer.which.index = 1
        assert viewer.now.value != before


def test_errors_appear_in_the_widget(viewer, monkeypatch):
    def fail(*args):
        raise RuntimeError("no way there")

    with monkeypatch.context() as broken:
        broken.setattr(viewer.session, "explain", fail)
        viewer.button.click()
    assert "no way there" in viewer.message.value
    viewer.button.click()
    assert viewer.message.value == ""


def test_brings_a_picture_for_pages_without_widgets(viewer):
    bundle = viewer._repr_mimebundle_()
    assert Image.open(BytesIO(bundle["image/jpeg"])).size == (3 * 64 + 2 * 12, 64 + 20)
    viewer.image.index = 1
    assert "image/jpeg" not in viewer._repr_mimebundle_()
    assert "3 images" in repr(viewer)


def test_opens_where_asked(session):
    target = session.targets(1)[1]
    viewer = CounterfactualViewer(session, side=64, index=1, target=target)
    assert viewer.explanation.class_names[viewer.explanation.target_class] == target
    assert viewer.before_text.value.count(session.specimens[1].name) == 1
    with pytest.raises(InputError, match="`target` must be one of"):
        CounterfactualViewer(session, target="blue")
    with pytest.raises(InputError, match="`index` must lie in"):
        CounterfactualViewer(session, index=99)
