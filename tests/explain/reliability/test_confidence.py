import pytest
import torch
from torch import nn

from histoxplain._checks import InputError
from histoxplain.explain.reliability.confidence import LEVEL, PASSES, check_sure, opinions_of, way_of


class Linear(nn.Module):
    """Log-odds of "b" are the mean brightness times 8; dropout of half of 64 equal parts of it."""

    class_names, channels = ("a", "b"), 1

    def __init__(self, p=0.5):
        super().__init__()
        self.drop = nn.Dropout(p)

    def forward(self, x):
        parts = self.drop(x.mean((1, 2, 3))[:, None].expand(-1, 64))
        return torch.stack([torch.zeros(len(parts)), 8 * parts.mean(1)], 1)

    def probabilities(self, x):
        return self(x).softmax(1)


class Certain:
    """Always the same opinion."""

    class_names = ("a", "b")

    def __init__(self, p):
        self.p = p

    def probabilities(self, x):
        return torch.tensor([1 - self.p, self.p]).repeat(len(x), 1)


@pytest.fixture
def image():
    return torch.full((1, 16, 16), 0.25)  # log-odds 2


def test_way():
    assert way_of(Linear(), [Certain(0.1)]) == "ensemble"
    assert way_of(Linear(), []) == "dropout"
    assert way_of(Linear(0.0), []) == "views"
    assert way_of(Linear(), [Certain(0.1)], "dropout") == "dropout"
    with pytest.raises(InputError, match="nearest valid is 'dropout'"):
        way_of(Linear(), [], "dropouts")


def test_dropout_of_a_linear_network_is_binomial(image):
    """Of 64 parts, each kept with probability 1/2 and doubled: mean log-odds 2, deviation 2 / sqrt(64)."""
    network = Linear().eval()
    odds = torch.cat([opinions_of(network, image[None], seed=seed).opinions.logit()[:, 0, 1] for seed in range(30)])
    assert len(odds) == 30 * PASSES
    assert odds.mean().item() == pytest.approx(2, abs=4 * 0.25 / len(odds) ** 0.5)
    assert odds.std().item() == pytest.approx(0.25, rel=0.1)
    found = opinions_of(network, image[None])
    low, high = (end[0, 1].logit().item() for end in (found.low, found.high))
    assert low == pytest.approx(2 - 1.645 * 0.25, abs=0.25)  # 5 and 95 % of a normal distribution
    assert high == pytest.approx(2 + 1.645 * 0.25, abs=0.25)
    assert (found.source, found.level) == ("dropout", LEVEL)
    assert not network.drop.training


def test_ensemble_spans_its_members(image):
    found = opinions_of(Certain(0.9), image[None], [Certain(0.6), Certain(0.7)])
    assert found.low[0, 1].item() == pytest.approx(0.6)
    assert found.high[0, 1].item() == pytest.approx(0.9)
    assert found.source == "ensemble"


def test_views_where_there_is_nothing_else(image):
    found = opinions_of(Linear(0.0), image[None])
    assert found.source == "views"
    assert found.opinions[:, 0, 1].tolist() == pytest.approx([torch.tensor(2.0).sigmoid().item()] * 6)


def test_says_which_opinions_and_whether_they_agree(image):
    before = torch.tensor([0.1, 0.9])
    alike = check_sure(before, Certain(0.9), image, [Certain(0.6)])
    assert (alike.answer, alike.fine) == ("b 90%; 60% to 90% over 2 classifiers", True)
    apart = check_sure(before, Certain(0.9), image, [Certain(0.2)])
    assert apart.doubts == ("1 of 2 opinions about the original are not b",)
    assert apart.figures["agreement"] == 0.5
    assert "in 90% of 20 passes with dropout" in check_sure(before, Linear().eval(), image).answer
    with pytest.raises(InputError, match="at least one other classifier"):
        check_sure(before, Certain(0.9), image, how="ensemble")
    with pytest.raises(InputError, match="finite"):
        check_sure(before, Certain(float("nan")), image, [Certain(0.2)])
