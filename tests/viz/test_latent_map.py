import numpy as np
import pytest
import torch

from histoxplain import InputError
from histoxplain.explain import LatentMap
from histoxplain.viz import class_colours, latent_map_figure


@pytest.fixture
def latents():
    points = np.linspace(-1, 1, 12).reshape(6, 2)
    names = ("adenocarcinoma", "benign")
    return LatentMap(torch.zeros(6, 4), torch.zeros(6, 4), torch.arange(6) % 2, torch.randn(6, 2), points, names)


def test_one_panel_each_with_every_point(latents):
    figure = latent_map_figure(latents, ["class", "benign"])
    classes, probability = figure.axes[:2]
    assert [len(dots.get_offsets()) for dots in classes.collections] == [3, 3]
    assert [text.get_text() for text in classes.get_legend().get_texts()] == ["adenocarcinoma", "benign"]
    drawn = probability.collections[0].get_array()
    assert np.allclose(drawn, latents.probabilities[:, 1])
    assert "benign" in probability.get_title()


def test_marks_a_place(latents):
    figure = latent_map_figure(latents, marker=(0.5, -0.25))
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[0.5, -0.25]]


def test_more_classes_than_colours_still_get_one():
    assert len(class_colours([f"class {i}" for i in range(20)])) == 20


def test_says_what_it_can_be_coloured_by(latents):
    with pytest.raises(InputError, match=r"one of class, cluster, adenocarcinoma, benign.*nearest valid is 'benign'"):
        latent_map_figure(latents, ["bening"])
