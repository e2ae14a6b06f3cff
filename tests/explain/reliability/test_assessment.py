from dataclasses import replace

import pytest
import torch
from torch import nn

from histoxplain._checks import InputError
from histoxplain.explain import (
    Explainer,
    Explanation,
    Found,
    LatentSearch,
    Reliability,
    make_explainer,
    quantised,
    reliability,
)
from histoxplain.models.reference import Reference


class Repaint(Explainer):
    """Answers with the colour of the target, a little off for every further counterfactual."""

    method = "repaint"

    def search(self, x, sources, targets, count, seed):
        reds = torch.tensor([-0.6, 0.0, 0.6])[targets]
        images = x[:, None].repeat(1, count, 1, 1, 1)
        images[:, :, 0] = reds[:, None, None, None] + 0.02 * torch.arange(count)[None, :, None, None]
        return [Found(some, x[i] + 0.01, {"start": torch.zeros(6, 6)}) for i, some in enumerate(images)]


@pytest.fixture
def textured(rng, colour):
    """An image of which no pixel is like another."""
    return lambda red: colour(red) + 0.2 * torch.rand(3, 16, 16, generator=rng) - 0.1


def test_every_explanation_says_how_far_to_trust_it(bundle, textured, tmp_path):
    e = Repaint(bundle).explain(textured(0.6), "medium", count=2)[0]
    names = [check["name"] for check in e.reliability["checks"]]
    assert names == ["familiar", "drawable", "sure", "second_opinion", "stable"]
    assert e.reliability["trusted"] == [True, True]
    assert e.reliability["sentence"].startswith(
        "No reason to distrust this explanation was found (3 checks). Not checked: "
    )
    again = Explanation.load(e.save(tmp_path / "e"))
    assert again.reliability == e.reliability
    assert Reliability.from_json(again.reliability) == reliability(bundle, again)


def test_only_when_wanted(bundle, textured):
    explainer = Repaint(bundle)
    explainer.assess = False
    assert explainer.explain(textured(0.6), "medium")[0].reliability is None
    assert not make_explainer("latent", bundle, assess=False).assess
    assert make_explainer("latent", bundle).assess


def test_the_second_classifier_is_heard(bundle, textured):
    """One that calls everything dark disagrees with all; without one the question stays open."""

    class Dark(type(bundle.classifier)):
        def forward(self, x):
            return super().forward(x) + torch.tensor([100.0, 0.0, 0.0])

    e = Repaint(bundle).explain(textured(0.6), "medium", count=2)[0]
    told = reliability(replace(bundle, oracle=Dark()), e)
    assert told["second_opinion"].doubts == ("the second classifier calls the original dark",)
    assert set(told["second_opinion"].doubtful.values()) == {"the second classifier calls it dark"}
    assert told.trusted == [False, False]
    alone = reliability(replace(bundle, oracle=None), e)
    assert alone["second_opinion"].fine is None
    assert alone["sure"].figures["source"] == "views"
    assert "there is no second classifier" in alone.sentence()


class Broken(nn.Module):
    class_names, channels = ("dark", "medium", "red"), 3

    def probabilities(self, x):
        return torch.full((len(x), 3), float("nan"))


def test_nan_is_an_error_of_the_classifier_and_an_open_question_of_the_second(bundle, textured):
    e = Repaint(bundle).explain(textured(0.6), "medium")[0]
    assert "gives no finite numbers" in reliability(replace(bundle, oracle=Broken()), e).sentence()
    with pytest.raises(InputError, match=r"`classifier` must give finite probabilities, got NaN"):
        reliability(replace(bundle, classifier=Broken()), e)
    with pytest.raises(InputError, match=r"`classifier` must give finite probabilities, got NaN"):
        Repaint(replace(bundle, classifier=Broken())).explain(textured(0.6))


def test_an_image_of_one_colour_is_told_whatever_else_is_known(bundle, colour):
    e = Repaint(bundle).explain(colour(0.6), "medium")[0]
    assert e.reliability["sentence"].startswith(
        "Do not trust this explanation: the image is of a single colour and shows nothing."
    )


def test_reconstructions_are_compared(bundle, textured):
    """The toy draws images one grey level too bright: an error of 1/255 of the range."""
    e = Repaint(bundle).explain(textured(0.6), "medium")[0]
    means, scale, axes = torch.zeros(1, 1792), torch.ones(1792), torch.eye(1792)[:2]
    facts = (torch.ones(2), torch.tensor(1.0), torch.arange(1000.0))

    def told(errors):
        reference = Reference(means, scale, axes, *facts, errors, "toy", 9, "features")
        bundled = type("Bundled", (), {**vars(bundle), "reference": reference})
        return reliability(bundled, e)["drawable"]

    assert told(torch.linspace(0, 0.01, 200)).figures["percentile"] == pytest.approx(100 / 2.55, abs=1)
    assert told(torch.linspace(0, 0.01, 200)).fine
    assert told(torch.linspace(0, 0.001, 200)).doubts[0].startswith("the generator cannot redraw it as well")
    assert told(torch.zeros(0)).fine is None


def test_a_reconstruction_of_something_else_is_told(bundle, textured):
    e = Repaint(bundle).explain(textured(0.6), "medium")[0]
    assert reliability(bundle, e)["drawable"].fine is None  # nothing to compare with, but alike
    other = replace(e, reconstruction=quantised(textured(0.6)), settings=e.settings | {"reconstruction_agrees": False})
    check = reliability(bundle, other)["drawable"]
    assert check.doubts[0].startswith("the redrawn image, which the changes start from, hardly resembles it")
    assert check.doubts[1] == "the classifier takes the redrawn image for another class"


def test_other_seeds_of_a_search_that_does_not_draw_find_the_same(bundle, textured):
    explainer = Repaint(bundle)
    e = explainer.explain(textured(0.6), "medium")[0]
    check = reliability(bundle, e, seeds=[1, 2], explainer=explainer)["seeds"]
    assert check.figures == {"seeds": [1, 2], "reached": [True, True], "likeness": [1.0, 1.0]}
    assert check.fine
    assert explainer.assess
    with pytest.raises(InputError, match="be other seeds than 0"):
        reliability(bundle, e, seeds=[0], explainer=explainer)


def test_other_seeds_of_generated_images_start_from_their_latents(bundle):
    ws = bundle.generator.mapping(torch.zeros(1, 6), torch.eye(3)[2:])
    explainer = LatentSearch(bundle, gradient_steps=1)
    e = explainer.explain_latents(ws, "medium")[0]
    told = reliability(bundle, e, seeds=[3], explainer=explainer)
    assert told["seeds"].figures["reached"] == [True]
    assert told["drawable"].answer == "yes: it drew it"


def test_another_bundles_explanation_is_refused(bundle, textured):
    e = Repaint(bundle).explain(textured(0.6), "medium")[0]
    with pytest.raises(InputError, match="be about dark, medium, red, got x, y, z"):
        reliability(bundle, replace(e, class_names=("x", "y", "z")))
