"""Directions of W by closed form, and what a classifier says to steps along them."""

from types import SimpleNamespace

import pytest
import torch

from histoxplain import InputError
from histoxplain.explain import (
    Directions,
    eigen_directions,
    films_along,
    find_directions,
    gradient_directions,
    guided_directions,
    measure_directions,
    style_weights,
)
from histoxplain.models import Generator, GeneratorConfig

CONFIG = GeneratorConfig(resolution=8, z_dim=6, w_dim=6, c_dim=2, channel_base=64, channel_max=8, mapping_layers=2)


@pytest.fixture
def generator():
    return Generator(CONFIG).eval()


def test_style_weights_are_those_of_the_network(generator):
    found = style_weights(generator, ["b4.torgb", "b4.conv1"])
    blocks = generator.synthesis.b4.conv1.affine, generator.synthesis.b4.torgb.affine
    assert torch.allclose(found, torch.cat([a.weight * a.weight_gain for a in blocks]), atol=1e-6)
    assert style_weights(generator).shape == (3 * 8, 6)  # three convolutions
    with pytest.raises(InputError, match=r"nearest valid is 'b4.conv1'"):
        style_weights(generator, ["b4.conv"])


def test_eigen_directions_change_styles_most(generator, rng):
    """No unit step changes styles more than the first, and the scores say by how much."""
    weights, w = style_weights(generator), torch.randn(4000, 6, generator=rng)
    found = eigen_directions(weights, w, 99)
    assert len(found) == 6
    units = torch.nn.functional.normalize(found.vectors, dim=1)
    assert torch.allclose(units @ units.T, torch.eye(6), atol=1e-5)
    answers = (units @ weights.T).square().sum(1)
    assert torch.allclose(found.scores, answers / weights.square().sum(), atol=1e-5)
    others = torch.nn.functional.normalize(torch.randn(500, 6, generator=rng), dim=1)
    assert (others @ weights.T).square().sum(1).max() <= answers[0] + 1e-5
    assert found.vectors.norm(dim=1).tolist() == pytest.approx([1] * 6, abs=0.05)  # one deviation of w


def test_gradient_of_a_bundle_is_red(bundle):
    """The mean red decides; "medium" loses on both sides of it."""
    found = gradient_directions(bundle, torch.randn(40, 6, generator=torch.Generator().manual_seed(1)) / 10 - 0.5)
    assert found["towards red"][0] / found["towards red"].norm() > 0.999
    assert found["towards dark"][0] / found["towards dark"].norm() < -0.999
    assert found.scores.tolist()[2] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("kind", ["gradient", "principal"])
def test_found_by_kind(bundle, kind):
    found = find_directions(bundle, kind, samples=60)
    assert found.kind == kind
    assert Directions is type(found)


def test_eigen_directions_by_kind(generator):
    judged = SimpleNamespace(generator=generator, classifier=torch.nn.Identity(), class_names=("a", "b"))
    assert find_directions(judged, "eigen", samples=50).names[:2] == ("eigen 1", "eigen 2")


STEPS = Directions(
    ("red", "green", "less red"),
    torch.tensor([[0.5, 0, 0, 0, 0, 0], [0, 0.5, 0, 0, 0, 0], [-0.3, 0, 0, 0, 0, 0]]),
    torch.zeros(3),
    "principal",
)


def reds(*values):
    return torch.tensor(values)[:, None, None] * torch.eye(6)[0].expand(1, 6, 6)


def test_effects_by_the_closed_form(bundle):
    """Of red against medium: sharpness 20 times the step."""
    found = measure_directions(bundle, STEPS, reds(0.0, -0.1), "red", "medium")
    assert found.effects.tolist() == [pytest.approx([v, v], abs=0.2) for v in (10, 0, -6)]
    assert found.flipped.tolist() == [[True, True], [False] * 2, [False] * 2]
    assert found.shares.tolist() == [1, 0, 0]


def test_guided_directions_lead_to_the_target(bundle):
    found = guided_directions(bundle, STEPS, reds(0.0, -0.1), "red", step=1.0)
    assert found.names == ("red up", "less red down")
    assert found["less red down"][0] == pytest.approx(0.3)
    assert found.scores[0] > found.scores[1] > 0
    none = guided_directions(bundle, Directions(("green",), STEPS.vectors[1:2], torch.zeros(1), "eigen"), reds(0.0), 2)
    assert len(none) == 0


def test_of_two_senses_the_stronger(bundle):
    """From green, every way leads away from it, one of them further."""

    class Ungreen(type(bundle.classifier)):
        def forward(self, x):
            away = (10 * x[:, 1].mean((1, 2))).abs() + x[:, 1].mean((1, 2))
            return torch.stack([away, torch.zeros_like(away), torch.zeros_like(away)], 1)

    judged = type(bundle)(bundle.generator, Ungreen())
    found = guided_directions(judged, STEPS, reds(0.0, 0.3), "dark", "red", step=1.0)
    assert found.names == ("green up",)
    assert found.scores.item() == pytest.approx(5.5, abs=0.1)


def test_films_show_every_step(bundle):
    films = films_along(bundle, STEPS, reds(0.0, -0.1), (-1.0, 0.0, 1.0))
    assert list(films) == ["red", "green", "less red"]
    film = films["red"][1]
    assert film.frames[:, 0, 0, 0].tolist() == pytest.approx([-0.6, -0.1, 0.4], abs=0.01)
    assert (film.source, film.target) == (0, 2)
    assert film.alphas.tolist() == [-1, 0, 1]


def test_bad_questions(bundle):
    with pytest.raises(InputError, match="`steps` must"):
        films_along(bundle, STEPS, reds(0.0), ())
    with pytest.raises(InputError, match="another class than `source`"):
        measure_directions(bundle, STEPS, reds(0.0), "red", "red")
    with pytest.raises(InputError, match=r"shape \(2 or more, 6\)"):
        gradient_directions(bundle, torch.zeros(1, 6))


def test_a_black_box_has_no_gradient(bundle):
    class Closed(type(bundle.classifier)):
        def forward(self, x):
            return super().forward(x).detach()

    with pytest.raises(InputError, match="ask for kind 'boundary'"):
        gradient_directions(type(bundle)(bundle.generator, Closed()), torch.zeros(2, 6))
