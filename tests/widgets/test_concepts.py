"""Sliders over concepts that are known on paper, without a browser."""

from dataclasses import replace
from io import BytesIO

import pytest
import torch
from PIL import Image

from histoxplain import InputError
from histoxplain.widgets import ConceptSession, ConceptViewer, Specimen
from tests.explain.conftest import Bundle, Paint, Redness
from tests.explain.known_concepts import KnownConcepts


def specimen(bundle, name, red, green=0.0):
    image = torch.tensor([red, green, 0.0])[:, None, None].expand(3, 16, 16).clone()
    return Specimen(name, image, bundle.classifier.probabilities(image[None])[0])


@pytest.fixture(scope="module")
def session():
    bundle = Bundle(Paint(), Redness())
    known = replace(bundle)
    object.__setattr__(known, "concepts", KnownConcepts(bundle))
    return ConceptSession(known, [specimen(bundle, "dark one", -0.5, 0.3), specimen(bundle, "red one", 0.6)])


def test_nothing_moved_is_the_image(session):
    sight = session.at(0, {})
    torch.testing.assert_close(sight.image, session.specimens[0].image, atol=0.01, rtol=0)
    torch.testing.assert_close(sight.probabilities, session.specimens[0].probabilities, atol=0.05, rtol=0)
    right = torch.tensor([2 * 0.5, 0.0, -0.5 + 0.5 * 0.3]).softmax(0)  # Theta of 0.5 darkness and 0.3 green
    torch.testing.assert_close(sight.predicted, right, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("amounts", "red"),
    [
        ({1: 0.0}, 0.0),  # no darkness
        ({1: 0.25}, -0.25),
        ({0: 0.8}, 0.3),  # added: the image had no redness
        ({0: 0.8, 1: 0.0}, 0.8),
        ({2: 1.0}, -0.5),  # Omega does nothing with green
    ],
)
def test_image_and_opinions_follow(session, amounts, red):
    sight = session.at(0, amounts)
    assert sight.image[0].mean() == pytest.approx(red, abs=0.01)
    torch.testing.assert_close(sight.probabilities, session.bundle.classifier.probabilities(sight.image[None])[0])
    have = {0: 0.0, 1: 0.5, 2: 0.3, 3: 0.0} | amounts
    weights = session.model.theta.weight
    right = sum(have[k] * weights[:, k] for k in range(4)).softmax(0)
    torch.testing.assert_close(sight.predicted, right, atol=1e-5, rtol=0)


def test_bars_are_what_matters_here_and_what_is_missing(session):
    first, second = session.bars(0, 2)
    assert (first.name, second.name) == ("darkness", "redness")  # most of its class; most missing for another
    assert (first.amount, second.amount) == (pytest.approx(0.5), 0)
    assert (first.target, first.weight, second.target, second.weight) == ("dark", 2, "red", 3)
    rich = session.rich[0].max()
    assert second.most == pytest.approx(1.5 * float(rich))
    assert first.most == pytest.approx(max(2.0, 1.5 * float(session.rich[1].max())))


def test_wrong_questions(session):
    with pytest.raises(InputError, match=r"`concept` must lie in \[0, 3\], got 4"):
        session.at(0, {4: 1.0})
    with pytest.raises(InputError, match="`amounts` must be 0 or more, got -1"):
        session.at(0, {0: -1})
    with pytest.raises(InputError, match="`index`"):
        session.at(2, {})
    with pytest.raises(InputError, match="hold at least one image"):
        ConceptSession(session.bundle, [])


@pytest.fixture
def viewer(session):
    return ConceptViewer(session, side=120, count=3)


def test_shows_something_at_once(viewer):
    assert Image.open(BytesIO(viewer.now.value)).size == (120, 120)
    assert viewer.amounts == {}
    assert viewer.message.value == ""
    assert "darkness" in viewer.labels[0].value
    assert "for dark (weight +2.00)" in viewer.labels[0].value


def test_sliders_move_the_picture_and_back(viewer):
    before = viewer.now.value
    viewer.sliders[0].value = 0.0
    assert viewer.amounts == {1: 0.0}
    assert viewer.now.value != before
    assert "width:100.0%" not in viewer.now_bars.value
    viewer.back.click()
    assert (viewer.now.value, viewer.amounts) == (before, {})


def test_another_image_has_its_own_sliders(viewer, monkeypatch):
    viewer.sliders[0].value = 1.9
    drawn, see = [], viewer.session.at
    monkeypatch.setattr(viewer.session, "at", lambda *asked: drawn.append(asked) or see(*asked))
    viewer.image.index = 1
    assert drawn == [(1, {})]  # once, whatever the sliders went through
    assert viewer.bars[0].name == "redness"
    assert viewer.sliders[0].value == pytest.approx(0.6, abs=0.01)


def test_shows_where(viewer):
    before = viewer.before.value
    viewer.where.index = 1
    assert viewer.before.value != before
    assert "darkness" in viewer.before_text.value
    viewer.where.index = 0
    assert viewer.before.value == before


def test_errors_appear_in_the_widget_and_go_away(viewer, monkeypatch):
    def fail(index, amounts):
        raise RuntimeError("out of tissue")

    with monkeypatch.context() as broken:
        broken.setattr(viewer.session, "at", fail)
        viewer.sliders[0].value = 0.3
    assert "out of tissue" in viewer.message.value
    viewer.sliders[0].value = 0.4
    assert viewer.message.value == ""


def test_brings_a_picture_for_pages_without_widgets(viewer):
    viewer.sliders[0].value = 0.0
    bundle = viewer._repr_mimebundle_()
    assert Image.open(BytesIO(bundle["image/jpeg"])).width >= 240
    assert bundle["text/plain"] == "ConceptViewer(2 images, 3 concepts, darkness 0.5 to 0.0)"
