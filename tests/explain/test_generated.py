import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.explain import draw, generate_pairs


def test_every_pair_with_samples_the_classifier_agrees_on(bundle):
    g = generate_pairs(bundle, each=2)
    assert len(g) == 12
    assert len(set(g.ids)) == 12
    assert g.ids[0] == "generated-1-dark-to-medium"
    assert bundle.classifier(draw(bundle.generator, g.ws)).argmax(1).tolist() == list(g.sources)
    assert len(g.z.unique(dim=0)) == 12


def test_one_target(bundle):
    g = generate_pairs(bundle, target="red", seed=1)
    assert g.targets == (2, 2)
    assert not torch.equal(g.z, generate_pairs(bundle, target="red", seed=2).z)


def test_a_generator_that_cannot(bundle):
    class Fixed(torch.nn.Module):
        class_names = bundle.class_names

        def probabilities(self, x):
            return torch.eye(3)[[0] * len(x)]

    with pytest.raises(InputError, match="recognises"):
        generate_pairs(type(bundle)(bundle.generator, Fixed()))
