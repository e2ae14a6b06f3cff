"""Quick copies against the classifiers they stand for."""

import pytest
import torch
from torch import nn

from histoxplain._device import cpu_has_fast_bfloat16
from histoxplain.models import Classifier, ClassifierConfig, Vote
from histoxplain.models import folded as module
from histoxplain.models.folded import fold, quick_copy


def classifier(architecture="efficientnet_lite0", seed=0):
    """Random weights, with statistics that batch norms do not leave as they are."""
    torch.manual_seed(seed)
    made = Classifier(ClassifierConfig(class_names=("a", "b", "c"), architecture=architecture, resolution=32))
    for part in made.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, 0, 0.1)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.normal_(part.bias, 0, 0.1)
    return made.eval().requires_grad_(False)


def norms(network):
    return sum(isinstance(part, nn.BatchNorm2d) for part in network.modules())


@pytest.mark.parametrize("architecture", ["efficientnet_lite0", "resnet18", "mobilenet_v3_small", "densenet121"])
def test_the_answers_and_their_gradients_are_the_classifiers_own(architecture, rng):
    own = classifier(architecture)
    quick = quick_copy(own, "float32")
    assert norms(quick) < norms(own)  # densenet's norms mostly come before convolutions, and stay
    x = torch.randn(3, 3, 40, 40, generator=rng)
    torch.testing.assert_close(quick(x), own(x), atol=1e-4, rtol=1e-4)
    slopes = [torch.autograd.grad(one(y := x.clone().requires_grad_())[:, 0].sum(), y)[0] for one in (own, quick)]
    torch.testing.assert_close(*slopes, atol=1e-4, rtol=1e-3)


def test_every_member_of_a_vote_is_folded(rng):
    own = Vote([classifier("resnet18", seed) for seed in (0, 1)]).eval()
    quick = quick_copy(own, "float32")
    assert norms(quick) == 0
    assert norms(own) == 40
    x = torch.randn(2, 3, 32, 32, generator=rng)
    torch.testing.assert_close(quick.probabilities(x), own.probabilities(x), atol=1e-5, rtol=1e-4)


@pytest.mark.skipif(not cpu_has_fast_bfloat16(), reason="this CPU has no bfloat16 arithmetic")
def test_bfloat16_is_near(rng):
    own = classifier()
    quick = quick_copy(own)
    assert {w.dtype for w in quick.parameters()} == {torch.bfloat16, torch.float32} - {torch.float32}
    x = torch.randn(8, 3, 32, 32, generator=rng)
    assert quick(x).dtype == torch.float32
    assert (quick.probabilities(x) - own.probabilities(x)).abs().max() < 0.02


def test_a_type_that_answers_otherwise_is_not_taken(monkeypatch):
    own = classifier()
    monkeypatch.setattr(module, "_answers_alike", lambda copy, *_: copy.network.dtype == torch.float32)
    assert quick_copy(own, "bfloat16").network.dtype == torch.float32
    monkeypatch.setattr(module, "_answers_alike", lambda *_: False)
    assert quick_copy(own, "bfloat16") is own


def test_a_convolution_used_twice_is_left_alone():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

        def forward(self, x):
            return self.norm(self.convolution(self.convolution(x)))

    network = Twice().eval()
    network.norm.running_mean += 1
    x = torch.ones(1, 2, 4, 4)
    before = network(x)
    fold(network, x)
    assert network(x).equal(before)
    assert norms(network) == 1
