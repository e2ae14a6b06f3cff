import importlib.util

import numpy as np
import pytest

from histoxplain.widgets import map_view
from histoxplain.widgets.map_view import ClickableMap, PictureMap


def test_a_click_tells_the_point(latents):
    clicked = []
    view = ClickableMap(latents, clicked.append)
    view._scatter.widget.selection = np.array([5], dtype=np.uint32)
    view._scatter.widget.selection = np.array([], dtype=np.uint32)
    assert clicked == [5]


def test_colours_follow_the_classifier(latents):
    view = ClickableMap(latents, print)
    view.colour_by("red")
    assert view._scatter.color()["by"] == "probability of red"
    view.colour_by("class")
    assert view._scatter.color()["by"] == "class"


def test_the_cross_moves(latents):
    view = ClickableMap(latents, print)
    view.mark((0.25, -0.5))
    across, down = view._scatter.annotations()["annotations"]
    assert (down.x, across.y) == (0.25, -0.5)


def test_without_the_scatter_there_is_a_picture_and_a_slider(latents, monkeypatch):
    monkeypatch.setattr(map_view, "find_spec", lambda name: None)
    clicked = []
    view = map_view.map_view(latents, clicked.append)
    assert isinstance(view, PictureMap)
    before = view.image.value
    view.mark((0.5, 0.5))
    assert view.image.value != before
    before = view.image.value
    view.colour_by("red")
    assert view.image.value != before
    view.slider.value = 7
    assert clicked == [7]


@pytest.mark.skipif(importlib.util.find_spec("jscatter") is None, reason="needs jupyter-scatter")
def test_the_scatter_is_taken_when_it_is_there(latents):
    assert isinstance(map_view.map_view(latents, print), ClickableMap)
