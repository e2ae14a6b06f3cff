from dataclasses import replace

import pytest
import torch
from torch import nn

from histoxplain import InputError
from histoxplain.explain import (
    METHODS,
    Translation,
    counterfactual,
    film_of,
    find_directions,
    generate_pairs,
    map_latents,
)


class Redden(nn.Module):
    """Moves red to a value of its own for each class, and fades green by a tenth."""

    class_names, channels, resolution = ("dark", "medium", "red"), 3, 16
    levels = torch.tensor([-0.5, 0.0, 0.5])

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x, target):
        y = x.clone()
        y[:, 0] = self.levels[target][:, None, None]
        y[:, 1] = 0.9 * y[:, 1]
        return y


@pytest.fixture
def bundle(bundle):
    """Without a generator, with a translator."""
    made = replace(bundle, generator=None)
    object.__setattr__(made, "translator", Redden())
    return made


def test_the_counterfactual_is_the_translation(bundle, colour):
    (found,) = Translation(bundle).explain([colour(-0.5, 0.4, 0.2)], "red")
    assert METHODS["cyclegan"] is Translation
    assert (found.method, found.valid.tolist(), len(found)) == ("cyclegan", [True], 1)
    assert found.reconstruction is None
    means = found.counterfactuals[0].mean((1, 2))
    assert (means - torch.tensor([0.5, 0.36, 0.2])).abs().max() < 1 / 127  # 8 bits
    assert found.settings["alpha"] == [1.0]


def test_errors_of_the_way_back_and_of_the_own_class(bundle, colour):
    (found,) = Translation(bundle).explain([colour(-0.4, 0.5)], "red")
    # the way back: red -0.5 for -0.4, green 0.81 of 0.5; into the own class: red as well, green 0.9 of 0.5
    assert abs(found.settings["cycle_error"] - (0.1 + 0.19 * 0.5) / 3) < 0.003
    assert abs(found.settings["identity_error"] - (0.1 + 0.1 * 0.5) / 3) < 0.003


def test_a_film_is_a_blend(bundle, colour):
    (found,) = Translation(bundle).explain([colour(-0.5, 0.4, 0.2)], "red")
    film = film_of(bundle, found, steps=3)
    assert torch.equal(film.frames[[0, 2]], torch.stack([found.original, found.counterfactuals[0]]))
    assert (film.frames[1].mean((1, 2)) - torch.tensor([0.0, 0.38, 0.2])).abs().max() < 0.01
    assert film.probabilities.argmax(1).tolist() == [0, 1, 2]  # dark, medium, red


def test_the_smallest_change_ends_where_the_classifier_gives_in(bundle, colour):
    (found,) = Translation(bundle, smallest=True, threshold=0.5).explain([colour(-0.5)], "red")
    assert found.valid.all()
    red = found.counterfactuals[0, 0].mean()
    assert 0.25 < red < 0.28  # red wins over medium above 0.25; grey levels are 0.008 apart, halvings 1 / 128
    assert abs(found.settings["alpha"][0] - 0.75) < 0.02


def test_several_are_asked_for_and_one_comes(bundle, colour):
    found = Translation(bundle).explain([colour(-0.5), colour(0.5)], [2, 0], count=4)
    assert [len(e) for e in found] == [1, 1]
    assert [e.settings["count"] for e in found] == [1, 1]


def test_what_the_translator_cannot_do_is_not_valid(bundle, colour):
    bundle.translator.levels = torch.zeros(3)
    for smallest in (False, True):
        (found,) = Translation(bundle, smallest=smallest).explain([colour(-0.5)], "red")
        assert not found.valid.any()
        assert found.settings["alpha"] == [1.0]


def test_a_record_is_saved_and_read(bundle, colour, tmp_path):
    (found,) = Translation(bundle).explain([colour(-0.5)], "red", ids=["one"])
    again = type(found).load(found.save(tmp_path / "one"))
    assert again.settings["cycle_error"] == found.settings["cycle_error"]
    assert torch.equal(again.counterfactuals, found.counterfactuals)


def test_what_a_bundle_does_not_hold_is_said_in_one_line(bundle, colour):
    without = replace(bundle)
    for method, role in (("cyclegan", "translator"), ("latent", "generator"), ("style", "generator")):
        with pytest.raises(InputError, match=f"`bundle` must hold a {role} for the method {method}, got paint without"):
            counterfactual(without, colour(-0.5), "red", method=method)
    for draw in (generate_pairs, find_directions, map_latents):
        with pytest.raises(InputError, match=r"must hold a generator for .*, got paint without; take a bundle"):
            draw(bundle)
