from dataclasses import replace

import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.explain import LatentSearch, StyleSearch, film_of


def grey(count=1):
    """Latents of images without red: "medium"."""
    return torch.zeros(count, 3, 6)


def least_red(bundle, confidence=0.96):
    """The least red of the class "red" whose probability reaches the confidence, by scanning."""
    x = torch.zeros(20001, 3, 1, 1)
    x[:, 0, 0, 0] = torch.linspace(0, 1, 20001)
    return float(x[bundle.classifier.probabilities(x)[:, 2] >= confidence, 0].min())


def gains(search, bundle):
    """The most red that each coordinate can add within its range, from 0, most first: `(red, name)`."""
    rows = []
    for layer, weights in bundle.generator.weights.items():
        for channel, weight in enumerate(weights):
            rows.append(
                (weight * float(search.space.high[search.space.place(layer, channel)]), f"{layer} {channel} up")
            )
    return sorted(rows, reverse=True)


def test_the_fewest_coordinates_are_those_on_paper(dials):
    """Effects add up here, so the fewest that suffice are the ones that can add most."""
    search = StyleSearch(dials)
    (e,) = search.explain_latents(grey(), "red")
    ranked, needed = gains(search, dials), least_red(dials)
    fewest = next(k for k in range(1, 9) if sum(gain for gain, _ in ranked[:k]) >= needed)
    assert 1 < fewest < 5
    assert e.settings["coordinates"] == [fewest]
    assert {one["name"] for one in e.settings["changed"][0]} == {name for _, name in ranked[:fewest]}
    assert e.valid.all()
    red = float(e.counterfactuals[0, 0].mean())
    assert needed - 0.01 <= red <= 1.2 * needed  # faded views ask for a little more


def test_all_other_coordinates_stay_to_the_bit(dials):
    (e,) = StyleSearch(dials).explain_latents(grey(), "red")
    moved = (e.latents["end_style"][0] != e.latents["start_style"]).sum()
    assert int(moved) == e.settings["coordinates"][0] == len(e.settings["changed"][0])
    layers = {one["name"].split()[0] for one in e.settings["changed"][0]}
    assert set(e.settings["layers"][0]) == layers


def test_no_coordinate_leaves_the_range_of_samples(dials):
    search = StyleSearch(dials)
    (e,) = search.explain_latents(grey(), "red")
    end = e.latents["end_style"][0]
    assert (end <= search.space.high + 1e-5).all()
    assert (end >= search.space.low - 1e-5).all()


def test_locked_layers_and_channels_stay_to_the_bit(dials):
    (e,) = StyleSearch(dials, lock=["b4.conv1 0", "b8.conv1"]).explain_latents(grey(), "red")
    moved = e.latents["end_style"][0] != e.latents["start_style"]
    assert not moved[[0, 6, 7]].any()
    assert e.valid.all()
    assert e.settings["lock"] == ["b4.conv1 0", "b8.conv1"]


def test_several_answers_share_no_coordinate(dials):
    e = StyleSearch(dials, confidence=0.6, threshold=0.5).explain_latents(grey(), "red", count=2)[0]
    first, second = ({one["name"] for one in some} for some in e.settings["changed"])
    assert e.settings["disjoint"]
    assert not first & second
    assert e.valid.tolist() == [True, True]


def test_where_no_few_suffice_the_simple_path_is_the_answer_and_the_record_says_so(dials):
    (few,) = StyleSearch(dials).explain_latents(grey(), "red")
    assert few.settings["few"] == [True]
    assert "instead" not in few.settings
    (e,) = StyleSearch(dials, most=1, threshold=0.9).explain_latents(grey(), "red")
    assert e.valid.all()
    assert e.settings["coordinates"][0] >= 7  # of 8, one of which does nothing
    assert e.settings["few"] == [False]
    assert e.settings["instead"] == "No 1 coordinates or fewer were found to be enough: nearly all change."


def test_less_than_the_full_confidence_will_do_before_all_coordinates_change(dials):
    """Without the two largest, no set of coordinates brings .96, but some bring .7."""
    (e,) = StyleSearch(dials, lock=["b4.conv1 0", "b8.conv0 1"], confidence=0.99).explain_latents(grey(), "red")
    assert e.settings["few"] == [True]
    assert 0.5 <= e.settings["confidence"] < 0.99
    assert e.valid.all()


def test_more_answers_than_disjoint_ones_are_filled_up(dials):
    """Fewer coordinates than would do three times over: each answer is valid all the same."""
    (e,) = StyleSearch(dials).explain_latents(grey(), "red", count=3)
    assert e.valid.all()
    assert len(e) == 3
    assert not e.settings["disjoint"]


def test_the_film_leads_from_the_image_to_the_answer(dials):
    (e,) = StyleSearch(dials).explain_latents(grey(), "red")
    film = film_of(dials, e, steps=3)
    assert film.frames[0].equal(e.original)
    assert film.frames[-1].equal(e.counterfactuals[0])


def test_many_images_take_few_more_passes_than_one(dials):
    def passes(count):
        search = StyleSearch(dials)
        before = dials.generator.passes
        search.explain_latents(grey(count), "red")
        return dials.generator.passes - before

    assert passes(16) <= 2 * passes(1)


def test_a_generator_without_styles_is_named(bundle):
    with pytest.raises(InputError, match="StyleSpace"):
        StyleSearch(bundle)


def test_names_and_places_are_each_others_inverse(dials):
    space = StyleSearch(dials).space
    assert len(space) == 8
    for place in range(8):
        ((layer, channel),) = space.places([place])
        assert space.place(layer, channel) == place
    assert space.places([5]) == [("b8.conv0", 1)]


def test_a_black_box_is_refused_with_a_way_out(dials):
    class BlackBox(type(dials.classifier)):
        def forward(self, x):
            return super().forward(x).detach()

    closed = replace(dials, classifier=BlackBox())
    with pytest.raises(InputError, match="have gradients for the method style, got a black box; use the method latent"):
        StyleSearch(closed).explain_latents(grey(), "red")
    (e,) = LatentSearch(closed).explain_latents(grey(), "red")
    assert e.valid.all()
