import torch

from histoxplain.explain import as_bundle
from histoxplain.explain.taps import Taps
from histoxplain.models import Generator, GeneratorConfig

SHAPE = {"resolution": 8, "channel_base": 64, "channel_max": 8, "z_dim": 4, "w_dim": 4, "mapping_layers": 2}


def test_classes_have_the_generators_names_or_numbers():
    config = GeneratorConfig(**SHAPE, c_dim=2)
    assert as_bundle(Generator(config, ("benign", "malignant"))).class_names == ("benign", "malignant")
    assert as_bundle(Generator(config)).class_names == ("0", "1")
    assert as_bundle(Generator(GeneratorConfig(**SHAPE))).class_names == ("0",)


def test_no_opinion_but_eyes():
    eyes = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Flatten())
    bundle = as_bundle(Generator(GeneratorConfig(**SHAPE, c_dim=2)), eyes, "mine")
    x = torch.randn(3, 3, 8, 8)
    assert bundle.classifier.probabilities(x).equal(torch.full((3, 2), 0.5))
    assert Taps(bundle.classifier, x).modules == [eyes[0]]
    assert (bundle.name, bundle.resolution, bundle.oracle) == ("mine", 8, None)
