import pytest
import torch
from torch import nn

from histoxplain import InputError
from histoxplain.models import Classifier, ClassifierConfig, Vote, load_classifier, save_classifier
from histoxplain.models.uncertainty import uncertainty_of


def member(p=None, names=("a", "b"), channels=1, resolution=32):
    """A classifier that says `p` whatever it sees."""
    config = ClassifierConfig(class_names=names, architecture="squeezenet1_1", resolution=resolution, channels=channels)
    classifier = Classifier(config).eval()
    if p is not None:
        last = classifier.network.classifier[1]
        nn.init.zeros_(last.weight)
        last.bias.data = torch.tensor(p).log()
        # squeezenet ends in a ReLU: shift the logits, which changes no probability
        last.bias.data -= last.bias.data.min()
    return classifier


X = torch.zeros(3, 1, 32, 32)


def test_soft_votes_are_the_mean():
    vote = Vote([member([0.9, 0.1]), member([0.3, 0.7]), member([0.3, 0.7])])
    assert torch.allclose(vote.probabilities(X), torch.tensor([[0.5, 0.5]]).expand(3, 2), atol=1e-6)
    assert torch.allclose(vote(X).softmax(dim=1), vote.probabilities(X))


def test_hard_votes_are_shares():
    vote = Vote([member([0.9, 0.1]), member([0.3, 0.7]), member([0.3, 0.7])], "hard")
    assert torch.allclose(vote.probabilities(X), torch.tensor([[1 / 3, 2 / 3]]).expand(3, 2), atol=1e-6)


def test_temperature_makes_votes_more_modest():
    vote = Vote([member([0.9, 0.1]), member([0.9, 0.1])])
    vote.temperature.fill_(2.0)
    expected = torch.tensor([0.9, 0.1]).sqrt()
    assert torch.allclose(vote.probabilities(X)[0], expected / expected.sum(), atol=1e-6)


def test_gradients_pass_through_soft_votes_only():
    members = [member(), member()]
    for kind in ("soft", "hard"):
        x = torch.rand(1, 1, 32, 32, requires_grad=True)
        logits = Vote(members, kind)(x)
        assert logits.requires_grad is (kind == "soft")
    soft = Vote(members)(x)[0, 0]
    soft.backward()
    assert x.grad.abs().max() > 0


def test_members_are_the_opinions_of_a_deep_ensemble():
    found = uncertainty_of(Vote([member([0.9, 0.1]), member([0.3, 0.7])]), X)
    assert found.source == "ensemble"
    assert found.opinions[:, 0, 0].tolist() == pytest.approx([0.9, 0.3])


def test_round_trip_keeps_every_member(tmp_path):
    vote = Vote([member(), member(resolution=48)], "soft").eval()
    vote.members[0].temperature.fill_(1.5)
    vote.temperature.fill_(0.7)
    loaded = load_classifier(save_classifier(tmp_path / "v.safetensors", vote))
    x = torch.rand(2, 1, 40, 40)
    assert isinstance(loaded, Vote)
    assert torch.equal(loaded(x), vote(x))
    assert (loaded.kind, loaded.resolution, loaded.channels, loaded.class_names) == ("soft", 48, 1, ("a", "b"))
    assert not any(p.requires_grad for p in loaded.parameters())


@pytest.mark.parametrize(
    ("others", "message"),
    [([], "2 classifiers"), ([{"names": ("b", "a")}], "same classes"), ([{"channels": 3}], "equal channels")],
)
def test_members_must_fit_together(others, message):
    with pytest.raises(InputError, match=message):
        Vote([member(), *(member(**changes) for changes in others)])


def test_kinds_of_votes():
    with pytest.raises(InputError, match="nearest valid is 'soft'"):
        Vote([member(), member()], "sofd")
