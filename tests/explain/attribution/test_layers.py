"""Layers by name, found by themselves, and in the layouts of transformers."""

import pytest
import torch
from torch import nn

from histoxplain import InputError
from histoxplain._torchvision import torchvision
from histoxplain.explain import attribute, spatial_layers
from histoxplain.explain.attribution.layers import as_maps
from histoxplain.models import Classifier, ClassifierConfig
from tests.explain.attribution.known import SIDE, Pooled, Sum


@pytest.mark.parametrize(
    ("shape", "maps"),
    [
        ((2, 512, 7, 7), (2, 512, 7, 7)),
        ((2, 7, 7, 768), (2, 768, 7, 7)),
        ((2, 64, 7, 10), (2, 64, 7, 10)),
        ((2, 7, 10, 64), (2, 64, 7, 10)),
        ((2, 197, 64), (2, 64, 14, 14)),
        ((2, 196, 64), (2, 64, 14, 14)),
        ((2, 8, 8, 8), (2, 8, 8, 8)),
        ((2, 64, 1, 1), None),
        ((2, 198, 64), None),
        ((2, 64), None),
    ],
)
def test_places_are_found_in_any_layout(shape, maps):
    found = as_maps(torch.zeros(shape), 224, 320 if 10 in shape else 224)
    assert (found if found is None else tuple(found.shape)) == maps


def test_tokens_come_in_rows_after_the_class():
    tokens = torch.cat([torch.full((1, 1, 1), 9.0), torch.arange(4.0).reshape(1, 4, 1)], 1)
    assert as_maps(tokens, 8, 8)[0, 0].tolist() == [[0.0, 1.0], [2.0, 3.0]]


def test_layers_are_listed_in_order(image):
    found = spatial_layers(Pooled(0), image)
    assert list(found) == ["body.0", "body.1", "body.2", "body.3", "body"]
    assert found["body.0"] == (6, 8, 8)


def test_any_layer_by_name_or_its_end(image):
    network = Sum(Pooled(1), Pooled(2))
    assert attribute(network, image, layer="trunks.1.body.0").layer == "trunks.1.body.0"
    assert attribute(network, image, layer=["1.body.1", "0.body.1"]).layer == "trunks.1.body.1, trunks.0.body.1"


def test_the_nearest_layer_is_named(image):
    with pytest.raises(InputError, match=r"`layer` must name one layer .* nearest valid is 'body.2'"):
        attribute(Pooled(0), image, layer="bodi.2")


def test_methods_of_the_image_take_no_layer(image):
    with pytest.raises(InputError, match="`layer` must be left out for occlusion"):
        attribute(Pooled(0), image, "occlusion", layer="body")


def test_a_network_without_maps_is_told_what_to_use():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 2))
    with pytest.raises(InputError, match=r"`classifier` must have a layer with a map of the image, .* occlusion"):
        attribute(flat, torch.zeros(3, SIDE, SIDE))


def test_one_trunk_behind_the_other_is_one_trunk(image):
    class Chain(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = Pooled(1).body, nn.Sequential(nn.Conv2d(6, 6, 1), nn.ReLU())
            self.head = nn.Linear(12, 2)

        def forward(self, x):
            early = self.first(x)
            return self.head(torch.cat([early.mean((2, 3)), self.second(early).mean((2, 3))], 1))

    assert attribute(Chain(), image).layer == "second"


@pytest.fixture(scope="module")
def vision():
    return torchvision().models


@pytest.mark.parametrize("layer", [None, "features.7"])
def test_swin_transformers(vision, rng, layer):
    network = vision.swin_transformer.SwinTransformer([4, 4], 12, [1, 1, 1, 1], [1, 1, 1, 1], [4, 4], num_classes=2)
    x = torch.rand(3, 64, 64, generator=rng)
    found = attribute(network, x, "grad-cam", 1, layer=layer)
    places = network.features(x[None])
    assert found.layer == (layer or "permute")
    assert places.shape == (1, 2, 2, 96)  # places before channels
    assert found.map.shape == (64, 64)
    assert found.map.max() > 0


def test_vision_transformers_are_read_where_places_still_matter(vision, rng):
    network = vision.VisionTransformer(32, 8, 2, 2, 12, 24, num_classes=2)
    nn.init.normal_(network.heads.head.weight)  # torchvision starts with a head of zeros
    found = attribute(network, torch.rand(3, 32, 32, generator=rng), "layer-cam", 1)
    assert found.layer == "encoder.layers.encoder_layer_1.ln_1"  # after it only the class token counts
    assert found.map.max() > 0


def test_dense_connections_are_one_trunk(vision, rng):
    network = vision.DenseNet(4, (2, 2), 8, num_classes=2)
    assert attribute(network, torch.rand(3, 32, 32, generator=rng), target=1).layer == "features"


def test_ensembles_are_read_in_every_trunk(rng):
    x = torch.rand(3, 64, 64, generator=rng)
    config = {"class_names": ("a", "b"), "resolution": 64}
    stacked = Classifier(ClassifierConfig(architecture="resnet18+mobilenet_v2", **config)).eval()
    assert attribute(stacked, x, target="b").layer == "network.trunks.0.layer4, network.trunks.1.features"
