from dataclasses import asdict

import pytest
import torch
from torch.nn import functional as F

from histoxplain import InputError
from histoxplain.models import Classifier, ClassifierConfig, load_classifier, save_checkpoint, save_classifier
from histoxplain.models.architectures import LITE, efficientnet_lite0


def small(**changes):
    settings = {"class_names": ("a", "b", "c"), "architecture": "shufflenet_v2_x0_5", "resolution": 32, **changes}
    return Classifier(ClassifierConfig(**settings)).eval()


@pytest.mark.parametrize("channels", [1, 3])
def test_takes_images_of_any_size(channels):
    classifier = small(channels=channels)
    for size in ((32, 32), (50, 20)):
        x = torch.rand(2, channels, *size) * 2 - 1
        assert classifier(x).shape == (2, 3)
        assert torch.allclose(classifier.probabilities(x).sum(dim=1), torch.ones(2))


@pytest.mark.parametrize("architecture", ["mobilenet_v3_small", "squeezenet1_1", LITE])
def test_other_architectures(architecture):
    assert small(architecture=architecture, resolution=64)(torch.zeros(1, 3, 40, 40)).shape == (1, 3)


def test_white_is_what_imagenet_networks_expect():
    white = torch.ones(1, 3, 32, 32)
    assert torch.allclose(small().preprocess(white)[0, 0], torch.tensor((1 - 0.485) / 0.229))
    assert torch.allclose(small(architecture=LITE).preprocess(white), torch.tensor((255 - 127) / 128), atol=1e-6)
    assert small(channels=1).preprocess(white[:, :1]).shape == (1, 3, 32, 32)


def test_temperature_divides_logits():
    classifier, x = small(), torch.rand(2, 3, 32, 32)
    before = classifier(x)
    classifier.temperature.fill_(2.0)
    assert torch.allclose(classifier(x), before / 2)


def test_gradients_reach_the_image_through_the_resize():
    classifier = small().double().requires_grad_(False)
    x = torch.rand(1, 3, 48, 48, dtype=torch.double, requires_grad=True)
    (gradient,) = torch.autograd.grad(classifier(x)[0, 1], x)
    step = torch.zeros_like(x)
    step[0, 1, 20, 30] = 1e-5
    with torch.no_grad():
        slope = (classifier(x + step)[0, 1] - classifier(x - step)[0, 1]) / 2e-5
    assert slope.item() == pytest.approx(gradient[0, 1, 20, 30].item(), rel=1e-4)


def test_round_trip(tmp_path):
    classifier, x = small(), torch.rand(2, 3, 40, 40)
    classifier.temperature.fill_(1.7)
    path = save_classifier(tmp_path / "c.safetensors", classifier, meta={"images_seen": 5})
    loaded = load_classifier(path)
    assert loaded.config == classifier.config
    assert torch.equal(loaded(x), classifier(x))
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_imagenet_weights_are_installed():
    pretrained = small(architecture=LITE, pretrained=True).network
    original = efficientnet_lite0()
    assert original._fc.out_features == 1000
    assert pretrained._fc.out_features == 3
    assert torch.equal(pretrained._blocks[3]._bn1.running_mean, original._blocks[3]._bn1.running_mean)


def test_imagenet_network_knows_plain_colours_apart():
    # the weights are the published ones: a smooth sky is no random texture, and top-1 is a real, confident class
    sky = torch.linspace(-0.2, 1, 224).view(1, 1, 224, 1).expand(1, 3, 224, 224).clone()
    with torch.no_grad():
        probabilities = F.softmax(efficientnet_lite0().eval()(sky), dim=1)
    assert probabilities.max() > 5 / 1000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ("a",)}, "at least 2 classes"),
        ({"class_names": ("a", "a")}, "differ"),
        ({"architecture": "resnet"}, "nearest valid is 'resnet"),
        ({"channels": 4}, "one of 1, 3"),
        ({"resolution": 8}, "at least 16"),
        ({"architecture": "vit_b_16", "resolution": 50}, "must suit vit_b_16"),
    ],
)
def test_bad_configurations(changes, message):
    with pytest.raises(InputError, match=message):
        small(**changes)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(3, 32, 32), "N, C, H, W"),
        (torch.zeros(1, 1, 32, 32), "3 channels"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "floating point"),
    ],
)
def test_bad_images(x, message):
    with pytest.raises(InputError, match=message):
        small()(x)


def test_bad_files_are_one_clear_line(tmp_path):
    state, config = small().state_dict(), {**asdict(small().config), "class_names": ["a", "b"]}
    wrong = [
        save_checkpoint(tmp_path / "head.safetensors", state, kind="classifier", config=config),
        save_checkpoint(tmp_path / "config.safetensors", state, kind="classifier", config={"classes": 3}),
        save_checkpoint(tmp_path / "kind.safetensors", state, kind="stylegan2.generator", config={}),
    ]
    for path in wrong:
        with pytest.raises(InputError, match="`path` must") as error:
            load_classifier(path)
        assert "\n" not in str(error.value)
