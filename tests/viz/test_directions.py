import pytest
import torch

from histoxplain import InputError
from histoxplain.explain import Film
from histoxplain.viz import class_colours, direction_strips

NAMES = ("adenocarcinoma", "benign")


def film(steps):
    p = torch.linspace(0.1, 0.9, len(steps))
    images = torch.zeros(len(steps), 3, 8, 8)
    return Film(images, torch.tensor(steps), torch.stack([1 - p, p], 1), NAMES, source=0, target=1)


def test_every_row_says_direction_step_and_opinion():
    figure = direction_strips({"towards benign": film([-2.0, 0.0, 2.0]), "axis 1": film([-2.0, 0.0, 2.0])})
    rows = [figure.axes[:3], figure.axes[3:]]
    assert [axes.get_title() for axes in rows[0]] == ["-2", "start", "+2"]
    assert [axes.get_title() for axes in rows[1]] == ["", "", ""]
    assert rows[0][0].get_ylabel() == "towards\nbenign"
    assert rows[1][2].get_xlabel() == "benign 90%"
    assert rows[1][2].xaxis.label.get_color() == class_colours(NAMES)["benign"]


def test_several_images_a_row_and_the_share_explained():
    rows = {"b8.conv0 3 up": [film([0.0, 1.0])] * 3, "b4.conv1 1 down": [film([0.0, 1.0])] * 3}
    figure = direction_strips(rows, shares={"b8.conv0 3 up": 0.25, "b4.conv1 1 down": 0.0})
    assert len(figure.axes) == 12
    assert figure.axes[0].get_ylabel() == "b8.conv0 3 up\nexplains 25%"
    assert [axes.get_title() for axes in figure.axes[:6]] == ["start", "+1"] * 3
    assert figure.axes[6].get_ylabel().endswith("explains 0%")


def test_films_must_fit_together():
    with pytest.raises(InputError, match="same length"):
        direction_strips({})
    with pytest.raises(InputError, match="same length"):
        direction_strips({"a": film([0.0]), "b": film([0.0, 1.0])})
    with pytest.raises(InputError, match="same length"):
        direction_strips({"a": [film([0.0])], "b": [film([0.0])] * 2})
