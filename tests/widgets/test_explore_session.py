from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from histoxplain import InputError
from histoxplain.explain import quantised
from histoxplain.widgets import ExploreSession, Place


@pytest.fixture
def session(bundle, latents):
    return ExploreSession(bundle, latents, {"up": torch.ones(16), "down": -torch.ones(16)})


def test_a_point_gives_its_own_image(session, bundle, latents):
    sight = session.at(session.place(4))
    ws = bundle.generator.mapping(latents.z[4:5], torch.tensor([[0.0, 1.0, 0.0]]))
    assert_close(sight.image, quantised(bundle.generator.synthesis(ws))[0])
    assert_close(sight.probabilities, latents.probabilities[4])
    assert_close(sight.w, latents.w[4])


@pytest.mark.parametrize(
    ("mix", "meant"),
    [
        ((0.4, 0, 0), (0.6, 0.2, 0.2)),
        ((1, 1, 0), (0.5, 0.5, 0)),
        ((0, 0, 0), (1 / 3,) * 3),
        ((0, 0.3, 0.7), (0, 0.3, 0.7)),
    ],
)
def test_shares_are_completed_or_scaled_to_one(session, bundle, latents, mix, meant):
    sight = session.at(replace(session.place(0), mix=mix))
    assert_close(sight.w, bundle.generator.mapping(latents.z[:1], torch.tensor([meant]))[0, 0])


def test_no_variety_is_the_mean_of_all(session, bundle):
    sights = [session.at(replace(session.place(i), truncation=0.0)) for i in (0, 1)]
    assert torch.equal(sights[0].image, sights[1].image)
    assert_close(sights[0].w, bundle.generator.mapping.w_avg)


def test_opposite_steps_cancel(session):
    place = session.place(2)
    assert_close(session.at(replace(place, steps=(1.5, 1.5))).w, session.at(place).w)
    assert not torch.equal(session.at(replace(place, steps=(1.5, 0.0))).image, session.at(place).image)


def test_a_strip_passes_through_the_place(session):
    place = session.place(3)
    film = session.strip(place, "down", steps=(-1, 0, 1))
    assert torch.equal(film.frames[1], session.at(place).image)
    assert torch.equal(film.frames[2], session.at(replace(place, steps=(0.0, 1.0))).image)
    assert film.alphas.tolist() == [-1, 0, 1]
    assert_close(film.probabilities[0], session.at(replace(place, steps=(0.0, -1.0))).probabilities)


def test_a_generator_without_classes(bundle, latents):
    from types import SimpleNamespace

    from histoxplain.models import Generator, GeneratorConfig

    shape = {"resolution": 16, "channel_base": 256, "channel_max": 8, "z_dim": 16, "w_dim": 16, "mapping_layers": 1}
    parts = vars(bundle) | {"generator": Generator(GeneratorConfig(**shape)).eval()}
    session = ExploreSession(SimpleNamespace(**parts), latents, {})
    assert session.at(session.place(0)).image.shape == (3, 16, 16)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (Place(9, (1, 0, 0), 1, (0, 0)), "`point` must lie in"),
        (Place(0, (1, 0), 1, (0, 0)), "`mix` must hold 3 shares"),
        (Place(0, (1, 0, -1), 1, (0, 0)), "`mix` must hold 3 shares"),
        (Place(0, (1, 0, 0), 1, (0,)), "`steps` must hold 2 numbers"),
    ],
)
def test_says_what_is_wrong_with_a_place(session, place, message):
    with pytest.raises(InputError, match=message):
        session.at(place)


def test_says_what_is_wrong_with_a_direction(bundle, latents, session):
    with pytest.raises(InputError, match=r"have shape \(16,\), got \(4,\) for 'short'"):
        ExploreSession(bundle, latents, {"short": torch.ones(4)})
    with pytest.raises(InputError, match="`direction` must be one of up, down"):
        session.strip(session.place(0), "sideways")


def test_start_finds_a_map_and_directions(bundle, latents, monkeypatch):
    from histoxplain.widgets import explore_session

    monkeypatch.setattr(explore_session, "map_latents", lambda *args, **kwargs: latents)
    session = ExploreSession.start(bundle, count=9, axes=2)
    assert list(session.directions) == ["towards pale", "towards medium", "towards red", "axis 1", "axis 2"]
    place = session.place(0)
    less, more = (float(session.at(replace(place, steps=(0, 0, s, 0, 0))).probabilities[2]) for s in (-3, 3))
    assert less < more
