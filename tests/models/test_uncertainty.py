import math

import pytest
import torch
from torch import nn

from histoxplain import InputError
from histoxplain.models import Classifier, ClassifierConfig
from histoxplain.models.uncertainty import dropout_opinions, ensemble_opinions, summarise, uncertainty_of


class Head(nn.Module):
    """Two classes by one pooled number that is dropped half of the time: logits (2 * mean, 0) or (0, 0)."""

    class_names = ("a", "b")

    def __init__(self, pooled=True):
        super().__init__()
        self.dropout, self.pooled, self.looks = nn.Dropout(0.5), pooled, 0

    def probabilities(self, x):
        self.looks += 1
        mean = x.mean(dim=(1, 2, 3))[:, None]
        mean = self.dropout(mean) if self.pooled else self.dropout(mean[:, :, None])[:, :, 0]
        return torch.cat([mean, torch.zeros_like(mean)], dim=1).softmax(dim=1)


@pytest.mark.parametrize("pooled", [True, False])
def test_dropout_opinions_are_those_of_the_mask(pooled):
    head, x = Head(pooled), torch.full((3, 1, 8, 8), 1.0)
    opinions = dropout_opinions(head, x, passes=400)
    assert opinions.shape == (400, 3, 2)
    dropped = torch.isclose(opinions[..., 0], torch.tensor(0.5))
    kept = torch.isclose(opinions[..., 0], torch.tensor(2.0).sigmoid())
    assert bool((dropped | kept).all())
    assert abs(dropped.double().mean().item() - 0.5) < 4 * math.sqrt(0.25 / 1200)
    assert not torch.equal(dropped[:, 0], dropped[:, 1])  # each image has masks of its own
    assert head.looks == (1 if pooled else 400)
    assert head.training  # as it was


def test_entropies_in_closed_form():
    # opinions (.9, .1) and (.5, .5): mean (.7, .3)
    found = summarise(torch.tensor([[[0.9, 0.1]], [[0.5, 0.5]]]), level=1.0)

    def entropy(p):
        return -p * math.log(p) - (1 - p) * math.log(1 - p)

    assert found.entropy.item() == pytest.approx(entropy(0.7))
    assert found.expected_entropy.item() == pytest.approx((entropy(0.9) + entropy(0.5)) / 2)
    assert found.mutual_information.item() == pytest.approx(entropy(0.7) - (entropy(0.9) + entropy(0.5)) / 2)
    assert (found.low[0, 0].item(), found.high[0, 0].item()) == pytest.approx((0.5, 0.9))


def test_agreeing_opinions_leave_only_the_doubt_of_the_image():
    found = summarise(torch.full((5, 2, 4), 0.25))
    assert found.entropy.tolist() == pytest.approx([math.log(4)] * 2)
    assert found.mutual_information.tolist() == pytest.approx([0, 0])
    assert torch.equal(found.low, found.high)
    assert found.agreement.tolist() == [1, 1]


def test_interval_holds_its_share():
    p = torch.linspace(0, 1, 101)
    found = summarise(torch.stack([p, 1 - p], dim=1)[:, None], level=0.9)
    assert (found.low[0, 0].item(), found.high[0, 0].item()) == pytest.approx((0.05, 0.95))


def test_seed_fixes_dropout_and_leaves_the_callers_numbers_alone():
    config = ClassifierConfig(class_names=("a", "b"), architecture="mobilenet_v3_small", resolution=32)
    classifier, x = Classifier(config).eval(), torch.rand(2, 3, 32, 32)
    nn.init.normal_(classifier.network.classifier[0].weight)  # features of some size at the dropout
    nn.init.normal_(classifier.network.classifier[-1].weight)
    nn.init.normal_(classifier.network.classifier[0].bias)
    before = torch.get_rng_state()
    once, again, other = (uncertainty_of(classifier, x, passes=4, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(once.opinions, again.opinions)
    assert not torch.equal(once.opinions, other.opinions)
    assert torch.equal(before, torch.get_rng_state())
    assert once.opinions.shape == (4, 2, 2)
    assert once.source == "dropout"


def test_members_are_opinions():
    class Sure:
        def __init__(self, p, names=("a", "b")):
            self.p, self.class_names = p, names

        def probabilities(self, x):
            return torch.tensor([[self.p, 1 - self.p]]).repeat(len(x), 1)

    x = torch.zeros(5, 1, 8, 8)
    found = uncertainty_of([Sure(1.0), Sure(0.0)], x, batch=2)
    assert found.source == "ensemble"
    assert found.mutual_information.tolist() == pytest.approx([math.log(2)] * 5)
    for members, message in ([[Sure(1.0)], "2 classifiers"], [[Sure(1.0), Sure(1.0, ("b", "a"))], "same classes"]):
        with pytest.raises(InputError, match=message):
            ensemble_opinions(members, x)


def test_bad_input():
    config = ClassifierConfig(class_names=("a", "b"), architecture="resnet18", resolution=32)
    x = torch.zeros(1, 3, 32, 32)
    with pytest.raises(InputError, match="must have dropout, got resnet18"):
        uncertainty_of(Classifier(config), x)
    with pytest.raises(InputError, match="passes"):
        uncertainty_of(Head(), x[:, :1], passes=1)
    with pytest.raises(InputError, match="level"):
        summarise(torch.full((2, 1, 2), 0.5), level=0)
    with pytest.raises(InputError, match=r"\(P, N, K\)"):
        summarise(torch.full((1, 2), 0.5))
