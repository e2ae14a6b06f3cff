import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.explain import explain_latents, film_between, film_of, interpolate_classes, latent_path


def test_classes_turn_step_by_step(bundle):
    film = interpolate_classes(bundle, "dark", "red", steps=5, seed=2)
    reds = film.frames[:, 0].mean((1, 2))
    assert film.alphas.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert (reds[-1] - reds[0]).item() == pytest.approx(1.2, abs=0.01)  # the label moves red from -0.6 to 0.6
    assert reds.diff().tolist() == pytest.approx([0.3] * 4, abs=0.01)
    assert film.frames[:, 1].flatten(1).unique(dim=1).std(0).max() < 1e-6  # green stays
    assert (film.probabilities[:, 2].diff() > -1e-6).all()
    assert (film.source, film.target) == (0, 2)


def test_of_an_explanation(bundle):
    (e,) = explain_latents(bundle, torch.tensor([0.5, 0, 0, 0, 0, 0.0]).repeat(1, 6, 1), "dark", gradient_steps=0)
    film = film_of(bundle, e, steps=4)
    assert film.frames[0].equal(e.original)
    assert film.frames[-1].equal(e.counterfactuals[0])
    assert len(film) == 4
    with pytest.raises(InputError, match="which"):
        film_of(bundle, e, 1)


def test_the_way_through_several_latents(rng):
    ws = torch.randn(3, 6, 6, generator=rng)
    path = latent_path(ws, 4)
    assert path.shape == (9, 6, 6)
    assert path[::4].equal(ws)
    assert torch.allclose(path[1], 0.75 * ws[0] + 0.25 * ws[1])
    assert torch.allclose(path[6], (ws[1] + ws[2]) / 2)
    with pytest.raises(InputError, match="`ws`"):
        latent_path(ws[:1], 4)
    with pytest.raises(InputError, match="`steps`"):
        latent_path(ws, 0)


def test_wrong_ends(bundle):
    with pytest.raises(InputError, match="another class"):
        interpolate_classes(bundle, "red", 2)
    with pytest.raises(InputError, match="steps"):
        film_between(bundle, torch.zeros(6, 6), torch.zeros(6, 6), steps=1)
    with pytest.raises(InputError, match="`end`"):
        film_between(bundle, torch.zeros(6, 6), torch.zeros(5, 6))
