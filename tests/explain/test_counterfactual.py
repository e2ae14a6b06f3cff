import math

import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.explain import LatentSearch, counterfactual, explain_latents, generate_pairs, make_explainer
from histoxplain.explain.arrival import Goal, Terms
from histoxplain.explain.moves import Start, layer_groups
from histoxplain.explain.spaces import WPlus


def red_needed(bundle, confidence):
    """The least red of the class "red" with that probability, by scanning."""
    reds = torch.linspace(0, 1, 20001)
    x = torch.zeros(len(reds), 3, 1, 1)
    x[:, 0, 0, 0] = reds
    return float(reds[bundle.classifier.probabilities(x)[:, 2] >= confidence].min())


def latents_of(red, green=0.1, blue=-0.1):
    return torch.tensor([red, green, blue, 0, 0, 0]).repeat(1, 6, 1)


def test_the_smallest_change_is_the_one_on_paper(bundle):
    """Only red matters to this classifier, so the least change adds just enough red and nothing else."""
    needed = red_needed(bundle, 0.96)
    (e,) = explain_latents(bundle, latents_of(0.0), "red", gradient_steps=40)
    colour = e.counterfactuals[0].mean((1, 2))
    assert e.valid.all()
    assert float(colour[0]) >= needed - 0.005
    assert float(e.l1[0]) <= 1.35 * needed / 3 + 0.01
    assert (e.probabilities_after[:, 2] >= 0.94).all()  # one 8-bit step below 0.96 at most


def test_the_record_holds_the_path(bundle):
    (e,) = explain_latents(bundle, latents_of(0.0), "red")
    assert e.latents["start"].equal(latents_of(0.0)[0])
    end = e.latents["end"][0].mean(0)[:3]
    assert end.tolist() == pytest.approx(e.counterfactuals[0].mean((1, 2)).tolist(), abs=0.005)
    assert e.settings["confidence"] == 0.96
    assert len(e.settings["moves"]) == 1


def test_real_images_go_through_inversion(bundle, colour):
    e = counterfactual(bundle, colour(0.55, 0.2, -0.3), "dark")
    assert e.valid.all()
    assert (e.reconstruction - e.original).abs().max() < 0.06
    assert e.settings["reconstruction_agrees"]
    assert e.settings["reconstruction_l1"] < 0.03


@pytest.mark.parametrize("target", ["medium", "dark"])
def test_many_ways_differ_and_the_distance_is_recorded(bundle, target):
    (e,) = explain_latents(bundle, latents_of(0.5), target, count=4)
    assert len(e) == 4
    assert e.valid.all()
    x = e.counterfactuals
    mean = sum(float((x[i] - x[j]).abs().mean()) / 2 for i in range(4) for j in range(4) if i != j) / 12
    assert mean > 0.02
    assert e.settings["mean_pairwise_distance"] == pytest.approx(mean, abs=2e-4)  # one colour: alike on every scale
    assert e.settings["change"] == sorted(e.settings["change"])


def test_all_pairs_of_generated_images(bundle):
    g = generate_pairs(bundle, each=2, seed=3)
    records = LatentSearch(bundle).explain_latents(g.ws, g.targets, z=g.z, ids=g.ids)
    assert sorted({(e.source_class, e.target_class) for e in records}) == [
        (a, b) for a in range(3) for b in range(3) if a != b
    ]
    assert all(e.valid.all() for e in records)
    assert [e.source_class for e in records] == list(g.sources)


def test_same_seed_same_answer(bundle, colour):
    one, two = (counterfactual(bundle, colour(0.5), seed=1) for _ in range(2))
    assert one.counterfactuals.equal(two.counterfactuals)


def test_a_fixed_pattern_of_pixels_does_not_pass(bundle):
    """An image that convinces only as it lies, not turned or shifted, is not at the goal."""

    class Trick(torch.nn.Module):
        class_names = bundle.class_names

        def forward(self, x):
            lead = 20 * (x[:, 0, 0, 0] - 0.5)  # looks at one corner pixel
            return torch.stack([-lead, torch.zeros_like(lead), lead], 1)

        def probabilities(self, x):
            return self(x).softmax(1)

    tricked = type(bundle)(bundle.generator, Trick())
    start = Start(latents_of(0.0)[0], torch.zeros(3, 16, 16), source=1, target=2)
    goal = Goal(Terms(tricked, WPlus(bundle), 0.5), [start], torch.tensor([0]), [0.9])
    x = torch.full((1, 3, 16, 16), -1.0)
    x[..., 0, 0] = 1
    assert tricked.classifier.probabilities(x)[0, 2] > 0.99
    assert goal.of(x, torch.tensor([0])) < 0
    assert goal.of(torch.ones(1, 3, 16, 16), torch.tensor([0])) > 0


def test_what_cannot_be_reached_is_said(bundle):
    """A class the classifier never gives: the best attempt comes back, marked as not valid."""

    class Deaf(torch.nn.Module):
        class_names = bundle.class_names

        def forward(self, x):
            r = x[:, 0].mean((1, 2))
            return torch.stack([-r, r, r - 9], 1)

        def probabilities(self, x):
            return self(x).softmax(1)

    (e,) = explain_latents(type(bundle)(bundle.generator, Deaf()), latents_of(0.5), "red", gradient_steps=2)
    assert len(e) == 1
    assert not e.valid.any()


def test_layers_fall_into_three_groups():
    assert layer_groups(12).tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert layer_groups(8).bincount().tolist() == [3, 3, 2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "magic"}, "`method` must be one of latent"),
        ({"confidence": 1.0}, "confidence"),
        ({"gradient_steps": -1}, "gradient_steps"),
    ],
)
def test_wrong_options(bundle, colour, options, words):
    with pytest.raises(InputError, match=words):
        counterfactual(bundle, colour(0.5), **options)


def test_several_images_belong_to_the_explainer(bundle, colour):
    with pytest.raises(InputError, match="one image"):
        counterfactual(bundle, [colour(0.5)])


def test_wrong_latents(bundle):
    with pytest.raises(InputError, match=r"\(N, 6, 6\)"):
        explain_latents(bundle, torch.zeros(6, 6))


def test_threshold_lifts_the_confidence(bundle):
    assert make_explainer("latent", bundle, threshold=0.98).confidence == 0.98
    assert math.isclose(make_explainer("latent", bundle).confidence, 0.96)
