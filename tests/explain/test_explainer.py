from contextlib import ExitStack

import pytest
import torch
from torch import nn

from histoxplain._checks import InputError
from histoxplain.data import Case
from histoxplain.explain import Explainer, Found, evaluating


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
