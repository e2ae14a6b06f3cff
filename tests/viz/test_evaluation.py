import math

import pytest

from histoxplain._checks import InputError
from histoxplain.evaluation import Evaluation
from histoxplain.metrics import Interval
from histoxplain.viz import comparison_figure, evaluation_figure


@pytest.fixture
def evaluation():
    """Write down an evaluation of a method."""

    def write(method, changes=None, **figures):
        known = {"method": method, "data": "d/lung.lmdb", "bundle": "lung", "images": 30, "count": 1, "threshold": 0.5}
        pairs = {"benign to squamous": {"images": 5, "valid": 4, "oracle": 1}}
        return Evaluation(**known, confidence=0.95, figures=figures, pairs=pairs, changes=changes or {})

    return write


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_one_method(evaluation):
    row = {"label": "nuclei", "unit": "", "change": -0.31, "clear": True}
    white = {"label": "white space", "unit": "share", "change": -0.001, "clear": False}
    lost = {"label": "nuclear area", "unit": "px²", "change": None, "clear": False}
    changes = {"benign to squamous": {"changes": [row, white, lost], "sentence": ""}}
    e = evaluation("latent", changes, flip_rate=Interval(1.0, 0.88, 1.0), l1=Interval(0.1, 0.05, 0.2))
    figure = evaluation_figure(e)
    shares, pairs, change = figure.axes
    assert [label.get_text() for label in shares.get_yticklabels()] == ["classifier flips (saved image)"]
    assert [bar.get_width() for bar in pairs.patches] == [5, 4, 1]
    assert texts(figure) == ["1.00", "-31 %", "0 pp", "-"]
    assert [text.get_weight() for text in change.texts] == ["bold", "normal", "normal"]
    assert "lung.lmdb: 30 images" in figure.subfigs[0].get_suptitle()
    assert len(evaluation_figure(evaluation("latent", l1=Interval(0.1))).axes) == 2


def test_several_methods(evaluation):
    """One panel a figure, one line a method; what was not measured says so."""
    two = [
        evaluation("latent", flip_rate=Interval(0.97, 0.9, 1.0), fid=Interval(150.0, 140.0, 170.0)),
        evaluation("pixels", flip_rate=Interval(1.0, math.nan, math.nan)),
    ]
    figure = comparison_figure(two)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == [
        "classifier flips (saved image) →",
        "Fréchet distance to real target images ←",
    ]
    assert [label.get_text() for label in shown[0].get_yticklabels()] == ["latent", "pixels"]
    assert texts(figure) == ["0.97", "1.00", "150", "not measured"]
    with pytest.raises(InputError, match="at least one"):
        comparison_figure([])
