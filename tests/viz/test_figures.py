import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from histoxplain._checks import InputError
from histoxplain.explain import Film
from histoxplain.viz import film_strip, probability_bars, sample_grid, strip


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in (axes.title, axes.xaxis.label, *axes.texts)]


def test_strip_shows_every_image_and_its_change(explanation):
    figure = strip(explanation)
    figure.canvas.draw()
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 2 + 2 * 2
    words = texts(figure)
    assert {"original", "reconstruction", "counterfactual 1", "attempt 2: not reached"} <= set(words)
    assert {"squamous 10%", "squamous 75%", "squamous 40%"} <= set(words)
    bar = figure.axes[-1]
    assert [label.get_text() for label in bar.get_yticklabels()] == ["darker (more stain)", "no change", "lighter"]


def test_changes_share_one_symmetric_scale(explanation):
    limits = {axes.images[0].get_clim() for axes in strip(explanation).axes if axes.get_title() == "what changed"}
    ((low, high),) = limits
    assert low == -high


def test_grey_images_are_shown_grey(explanation):
    grey = sample_grid(torch.zeros(1, 1, 8, 8)).axes[0].images[0].get_array()
    assert grey.shape == (8, 8, 3)
    assert (grey == 128).all()


def test_bars_have_the_probabilities(explanation):
    figure = probability_bars(explanation)
    widths = [[bar.get_width() for bar in axes.patches] for axes in figure.axes]
    assert [w for some in widths for w in some] == pytest.approx([0.9, 0.1, 0.25, 0.75, 0.6, 0.4])
    assert "90%" in texts(figure)


def test_film_has_frames_and_a_curve_a_class():
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    film = Film(torch.zeros(3, 3, 8, 8), torch.linspace(0, 1, 3), p, ("a", "b"), 0, 1)
    figure = film_strip(film)
    frames = [axes for sub in figure.subfigs for axes in sub.axes if axes.images]
    (curves,) = [axes for sub in figure.subfigs for axes in sub.axes if axes.lines]
    assert len(frames) == 3
    assert [line.get_ydata().tolist() for line in curves.lines] == [[1, 0.5, 0], [0, 0.5, 1]]


def test_the_shortest_film_has_room_for_its_curve(recwarn):
    p = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    names = ("adenocarcinoma", "benign", "squamous")
    figure = film_strip(Film(torch.zeros(2, 3, 8, 8), torch.tensor([0.0, 1.0]), p, names, 0, 1))
    FigureCanvasAgg(figure).draw()
    assert [str(one.message) for one in recwarn if "constrained_layout" in str(one.message)] == []


def test_grid_leaves_no_empty_frames():
    figure = sample_grid(torch.zeros(5, 3, 8, 8), list("abcde"), columns=4)
    assert [axes.get_title() for axes in figure.axes if axes.get_visible()] == list("abcde")
    with pytest.raises(InputError, match="captions"):
        sample_grid(torch.zeros(2, 3, 8, 8), ["one"])
