"""Quick networks: what they are made of, and that a search never takes their word for it."""

import pytest
import torch

from histoxplain.explain import LatentSearch, arrival, draw
from histoxplain.explain.detail import detail_site
from histoxplain.explain.quick import quick_classifier, quick_generator
from histoxplain.explain.spaces import Flat, StyleSpace, paint
from histoxplain.models import Classifier, ClassifierConfig, Generator, GeneratorConfig


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    shape = {"resolution": 16, "channel_base": 256, "channel_max": 16, "z_dim": 8, "w_dim": 8, "mapping_layers": 2}
    return Generator(GeneratorConfig(**shape)).eval().requires_grad_(False)


def test_made_once_until_the_weights_change():
    own = Classifier(ClassifierConfig(class_names=("a", "b"), architecture="resnet18", resolution=32)).eval()
    quick = quick_classifier(own)
    assert quick_classifier(own) is quick
    x = torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        own.network.fc.bias[0] += 3
        assert quick_classifier(own) is not quick
        assert quick_classifier(own)(x)[0, 0] > quick(x)[0, 0] + 1


def test_functions_and_strange_generators_are_taken_as_they_are(bundle):
    def asked(x):
        return x

    assert quick_classifier(asked) is asked
    assert quick_classifier(bundle.classifier) is bundle.classifier
    assert quick_generator(bundle.generator) is None


def test_quick_images_are_those_of_the_generator(generator):
    ws = generator.mapping(torch.randn(3, 8), None)
    detail = torch.randn(3, detail_site(generator).conv1.weight.shape[0], 8, 8)
    space = StyleSpace(generator, ws)
    for offset in (None, detail):
        expected = draw(generator, ws, offset)
        for got in (
            paint(Flat(generator), ws.flatten(1), offset, quick=True),
            paint(space, space.of(ws), offset, quick=True),
        ):
            torch.testing.assert_close(got, expected, atol=0.05, rtol=0.05)


class Hopeful:
    """Sees the red that it is shown as more of it."""

    def __init__(self, own, more):
        self.own, self.more = own, more

    def probabilities(self, x):
        return self.own.probabilities(x + self.more)


def test_the_classifiers_own_word_counts_where_quick_ones_are_too_hopeful(bundle, monkeypatch):
    ws = torch.zeros(1, 6, 6)
    (plain,) = LatentSearch(bundle, gradient_steps=0).explain_latents(ws, "red")
    for more in (0.005, 0.03, 0.6):
        monkeypatch.setattr(arrival, "quick_classifier", lambda own, more=more: Hopeful(own, more))
        (e,) = LatentSearch(bundle, gradient_steps=0).explain_latents(ws, "red")
        assert e.settings["alpha"][0] < plain.settings["alpha"][0] * 1.1
        if more < 0.1:
            assert e.valid.all()
            assert e.probabilities_after[0, 2] > 0.9
        else:  # nothing that it found convinces the classifier: the record says so
            assert not e.valid.any()
