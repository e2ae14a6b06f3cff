import copy

import pytest
import torch
from torch import nn

from histoxplain import InputError
from histoxplain.models import Classifier, ClassifierConfig, load_classifier, save_classifier
from histoxplain.models.ensemble import StackedNetwork
from histoxplain.models.uncertainty import uncertainty_of

SMALL = "shufflenet_v2_x0_5+mobilenet_v3_small"


def small(**more):
    return Classifier(ClassifierConfig(class_names=("a", "b", "c"), architecture=SMALL, resolution=32, **more)).eval()


def test_published_ensemble_has_the_published_widths():
    with torch.device("meta"):
        network = StackedNetwork(("mobilenet_v2", "densenet169"), 2, 224).eval()
        assert network.features(torch.zeros(2, 3, 224, 224)).shape == (2, 2944)
        assert network(torch.zeros(2, 3, 224, 224)).shape == (2, 2)
    assert network.widths == [1280, 1664]
    kinds = [type(layer) for layer in network.head]
    block = [nn.BatchNorm1d, nn.Linear, nn.ReLU, nn.Dropout]
    assert kinds == [*block, *block, nn.Linear]
    assert [layer.out_features for layer in network.head if isinstance(layer, nn.Linear)] == [256, 128, 2]
    assert [layer.p for layer in network.head if isinstance(layer, nn.Dropout)] == [0.5, 0.5]
    # 2944*2 + 2944*256+256 + 256*2 + 256*128+128 + 128*2+2
    assert sum(p.numel() for p in network.head.parameters()) == 793_474


def test_each_trunk_sees_its_own_normalisation():
    network = StackedNetwork(("efficientnet_lite0", "shufflenet_v2_x0_5"), 2, 32).eval()
    seen = []
    for trunk in network.trunks:
        trunk.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0, :, 0, 0]))
    network(torch.ones(1, 3, 32, 32))
    assert torch.allclose(seen[0], torch.tensor((255 - 127) / 128), atol=1e-6)
    assert torch.allclose(seen[1], (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225]))


def test_frozen_trunks_keep_weights_and_statistics():
    classifier = small()
    network = classifier.network.freeze([0])
    classifier.train()
    assert not network.trunks[0].training
    assert network.trunks[1].training
    before = copy.deepcopy(network.trunks[0].state_dict())
    rate = torch.optim.SGD([p for p in classifier.parameters() if p.requires_grad], 0.1)
    classifier(torch.rand(4, 3, 32, 32)).square().sum().backward()
    rate.step()
    assert all(torch.equal(before[name], now) for name, now in network.trunks[0].state_dict().items())
    assert all(p.grad is None for p in network.trunks[0].parameters())
    assert network.head[1].weight.grad.abs().max() > 0
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in network.trunks[1].parameters())


def test_gradients_reach_the_image_through_frozen_trunks():
    classifier = small().requires_grad_(False)
    classifier.network.freeze([0, 1])
    x = torch.zeros(1, 3, 40, 40, requires_grad=True)
    classifier(x)[0, 1].backward()
    assert x.grad.abs().max() > 0


def test_round_trip(tmp_path):
    classifier, x = small(channels=1), torch.rand(2, 1, 40, 40)
    classifier.temperature.fill_(1.3)
    loaded = load_classifier(save_classifier(tmp_path / "c.safetensors", classifier))
    assert torch.equal(loaded(x), classifier(x))
    assert loaded.config == classifier.config


def test_dropout_opinions_look_at_the_image_once():
    classifier, looks = small(), []
    classifier.network.trunks[0].register_forward_pre_hook(lambda *_: looks.append(1))
    nn.init.normal_(classifier.network.head[-1].weight)
    nn.init.normal_(classifier.network.head[0].bias)
    found = uncertainty_of(classifier, torch.rand(2, 3, 32, 32), passes=6)
    assert found.opinions.shape == (6, 2, 3)
    assert found.mutual_information.min() > 0
    assert len(looks) == 1


def test_one_trunk_is_no_ensemble():
    with pytest.raises(InputError, match="`trunks` must be at least 2"):
        StackedNetwork(("resnet18",), 2, 32)
