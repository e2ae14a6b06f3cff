from io import BytesIO

import pytest
import torch
from PIL import Image

from histoxplain.widgets import Explorer, ExploreSession


@pytest.fixture
def explorer(bundle, latents):
    return Explorer(ExploreSession(bundle, latents, {"up": torch.ones(16)}), side=120)


def test_shows_something_at_once(explorer):
    assert Image.open(BytesIO(explorer.image.value)).size == (120, 120)
    assert "red" in explorer.bars.value
    assert explorer.message.value == ""


@pytest.mark.parametrize("group", ["mix", "truncation", "steps"])
def test_every_slider_changes_the_picture(explorer, group):
    slider = getattr(explorer, group)
    slider = slider[-1] if isinstance(slider, list) else slider
    before = explorer.image.value
    slider.value = 0.5
    assert explorer.image.value != before


def test_a_chosen_point_sets_all_sliders_and_draws_once(explorer, monkeypatch):
    explorer.steps[0].value = 2.0
    drawn = []
    monkeypatch.setattr(explorer.session, "at", lambda place, at=explorer.session.at: drawn.append(place) or at(place))
    explorer.choose(7)
    assert drawn == [explorer.session.place(7)]
    assert [slider.value for slider in explorer.mix] == [0, 1, 0]


def test_back_to_the_point(explorer):
    explorer.choose(3)
    before = explorer.image.value
    explorer.steps[0].value = 3.0
    assert explorer.image.value != before
    explorer.back.click()
    assert explorer.image.value == before


def test_errors_appear_in_the_widget_and_go_away(explorer, monkeypatch):
    def fail(place):
        raise RuntimeError("out of tissue")

    with monkeypatch.context() as broken:
        broken.setattr(explorer.session, "at", fail)
        explorer.truncation.value = 0.3
    assert "out of tissue" in explorer.message.value
    explorer.truncation.value = 0.4
    assert explorer.message.value == ""


def test_brings_a_picture_for_pages_without_widgets(explorer):
    explorer.colour.value = "red"
    bundle = explorer._repr_mimebundle_()
    assert Image.open(BytesIO(bundle["image/jpeg"])).width > 240
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == "Explorer(9 points, 1 directions, at point 0)"
