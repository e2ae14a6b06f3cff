from contextlib import ExitStack

import pytest
import torch
from torch import nn

from histoxplain._checks import InputError
from histoxplain.data import Case
from histoxplain.explain import Explainer, Found, counterfactual, draw, evaluating, latent_space


class Repaint(Explainer):
    """Answers with the right colour, as a method would that needs no search."""

    method = "repaint"

    def search(self, x, sources, targets, count, seed):
        reds = [-0.6, 0.0, 0.6]
        found = []
        for image, target in zip(x, targets.tolist()):
            image = image.clone()
            image[0] = reds[target]
            found.append(Found(image[None].repeat(count, 1, 1, 1)))
        return found


@pytest.fixture
def explainer(bundle):
    return Repaint(bundle, batch_size=2)


def test_one_record_an_image_in_order(explainer, colour):
    x = torch.stack([colour(red) for red in (-0.6, 0.0, 0.6)])
    records = explainer.explain(x, target=[2, "red", "dark"], count=2)
    assert [(e.source_class, e.target_class) for e in records] == [(0, 2), (1, 2), (2, 0)]
    assert [e.case_id for e in records] == ["image-1", "image-2", "image-3"]
    assert all(e.valid.all() and len(e) == 2 and e.reconstruction is None for e in records)
    assert records[0].change.unique().tolist() == pytest.approx([0.2], abs=0.003)
    assert records[0].settings == {"bundle": "paint", "count": 2, "seed": 0}


def test_no_target_is_the_runner_up(explainer, colour):
    records = explainer.explain([colour(0.5), colour(-0.9), colour(0.1)])
    assert [e.target_class for e in records] == [1, 1, 2]


def test_names_come_from_the_images(explainer, colour):
    assert explainer.explain([Case(colour(0.5), id="slide 7")])[0].case_id == "slide 7"
    assert explainer.explain(colour(0.5), ids=["mine"])[0].case_id == "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"target": "red"}, r"another class than the classifier's own, got 'red'.*ask for dark or medium"),
        ({"target": "rde"}, "nearest valid is 'red'"),
        ({"target": 3}, "must be one of dark, medium, red"),
        ({"target": [0, 1]}, "one class for each of 1 images"),
        ({"count": 0}, "`count` must be at least 1, got 0"),
        ({"count": 1.5}, "whole number"),
        ({"ids": ["a", "b"]}, "`ids`"),
    ],
)
def test_wrong_questions(explainer, colour, arguments, words):
    with pytest.raises(InputError, match=words):
        explainer.explain(colour(0.6), **arguments)


def test_no_image(explainer):
    with pytest.raises(InputError, match="at least one image"):
        explainer.explain([])


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_wrong_threshold(bundle, threshold):
    with pytest.raises(InputError, match="threshold"):
        Repaint(bundle, threshold=threshold)


def test_modes_and_gradients_are_restored_for_each_part():
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    net[1].eval()
    net[0].bias.requires_grad_(False)
    inside = ExitStack()
    inside.enter_context(evaluating(net))
    assert not any(part.training for part in net.modules())
    assert not any(weight.requires_grad for weight in net.parameters())
    inside.__exit__(KeyError, KeyError(), None)
    assert [part.training for part in net.modules()] == [True, True, False]
    assert [weight.requires_grad for weight in net.parameters()] == [True, False]


class Broken(nn.Module):
    """A classifier of redness that answers with NaN from the n-th question on."""

    channels = 3

    def __init__(self, classifier, good=0):
        super().__init__()
        self.classifier, self.good, self.class_names = classifier, good, classifier.class_names

    def forward(self, x):
        self.good -= 1
        return self.classifier(x) * (torch.nan if self.good < 0 else 1)

    def probabilities(self, x):
        return self(x).softmax(1)


@pytest.mark.parametrize("method", ["latent", "pixels"])
@pytest.mark.parametrize("good", [0, 1, 2, 6])
def test_a_classifier_that_returns_nan_is_named(bundle, colour, method, good):
    """Wherever it begins: at the original, in the search, or when the answer is judged."""
    broken = type(bundle)(bundle.generator, Broken(bundle.classifier, good))
    with pytest.raises(InputError, match=r"`classifier` must give finite .* NaN or infinity"):
        counterfactual(broken, colour(0.0), "red", method=method)


@pytest.mark.parametrize("method", ["latent", "pixels"])
def test_networks_that_do_not_fit_are_refused(bundle, colour, method):
    class Grey(type(bundle.classifier)):
        channels = 1

    class Two(type(bundle.classifier)):
        def forward(self, x):
            return super().forward(x)[:, :2]

    for classifier, names, words in (
        (Grey(), bundle.class_names, "`classifier` must take 3 channels, as the generator draws, got 1"),
        (Two(), bundle.class_names, r"`classifier` must give 3 probabilities an image, one a class, got \(1, 2\)"),
        (bundle.classifier, ("only",), "`bundle` must have at least 2 classes, got 1"),
    ):
        with pytest.raises(InputError, match=words):
            counterfactual(type(bundle)(bundle.generator, classifier, class_names=names), colour(0.0), 1, method=method)


@pytest.mark.parametrize("method", ["latent", "pixels"])
def test_the_mean_image_is_explained_with_a_warning(bundle, method):
    """The image in the middle of all that is drawn: the search starts where it would come back to."""
    with evaluating(bundle.generator):
        mean = draw(bundle.generator, latent_space(bundle).means.mean(0).expand(1, bundle.generator.num_ws, -1))
    options = {"levels": 64} if method == "pixels" else {}
    found = counterfactual(bundle, mean[0], "red", method=method, **options)
    assert found.valid.all()
    assert found.counterfactuals.isfinite().all()
    assert "the image is of a single colour and shows nothing" in found.reliability["sentence"]
