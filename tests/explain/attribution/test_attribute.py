"""The call itself: images, targets, names, and what it refuses; real tissue whose diseased part is known."""

import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import nn

from histoxplain import InputError
from histoxplain.data import Case
from histoxplain.data.synthetic import tissue
from histoxplain.explain import attribute
from histoxplain.models import Classifier, ClassifierConfig
from tests.explain.attribution.known import SIDE, Linear, Pooled, left_bright


def test_one_image_one_record_several_images_a_list(images):
    network = Pooled(0)
    one, several = attribute(network, images[0], target=1), attribute(network, images, target=1, batch_size=2)
    assert one.case_id == "image-1"
    assert [found.case_id for found in several] == ["image-1", "image-2", "image-3"]
    torch.testing.assert_close(several[0].map, one.map)


def test_images_of_different_sizes(rng):
    sizes = [(16, 16), (16, 16), (24, 20)]
    found = attribute(Pooled(0), [torch.rand(3, *size, generator=rng) for size in sizes])
    assert [tuple(one.map.shape) for one in found] == sizes


def test_the_classifiers_opinion_is_the_target_unless_another_is_named(images):
    network = Pooled(0).eval()
    own = attribute(network, images)
    assert [one.target_class for one in own] == network(images).argmax(1).tolist()
    assert [one.target_class for one in attribute(network, images, target=[0, 1, "0"])] == [0, 1, 0]
    torch.testing.assert_close(own[1].probabilities, network(images).softmax(1)[1].detach())


def test_classes_have_names(image):
    named = attribute(left_bright, image, "occlusion", "bright", class_names=("dark", "bright"))
    assert named.target_name == "bright"
    with pytest.raises(InputError, match="`class_names` must name the 2 classes"):
        attribute(left_bright, image, "occlusion", class_names=("one",))
    with pytest.raises(
        InputError, match="`target` must be one of dark, bright, got 'brihgt'; nearest valid is 'bright'"
    ):
        attribute(left_bright, image, "occlusion", "brihgt", class_names=("dark", "bright"))


def test_explains_a_classifier_with_its_preprocessing(rng):
    config = ClassifierConfig(class_names=("a", "b"), architecture="squeezenet1_1", resolution=32)
    classifier, x = Classifier(config).eval(), torch.rand(3, 48, 48, generator=rng)
    assert attribute(classifier, x, "grad-cam", "b").layer.startswith("network.")
    classifier.network = Linear(torch.randn(3, 32, 32, generator=rng))  # resizing and normalising are linear, too
    found = attribute(classifier, x, "integrated-gradients", "b", steps=2)
    change = classifier(torch.stack([x, torch.zeros_like(x)]))[:, 1].detach()
    assert found.map.shape == (48, 48)
    assert float(found.map.sum()) == pytest.approx(float(change[0] - change[1]), rel=1e-3)


def test_files_are_squares_of_the_classifiers_size_unless_made_so(tmp_path):
    config = ClassifierConfig(class_names=("a", "b"), architecture="squeezenet1_1", resolution=32)
    classifier = Classifier(config).eval()
    Image.new("RGB", (40, 36), "pink").save(tmp_path / "tile.png")
    assert attribute(classifier, tmp_path / "tile.png", fit=True).map.shape == (32, 32)
    with pytest.raises(InputError, match="must be 32 x 32 pixels"):
        attribute(classifier, tmp_path / "tile.png")
    assert attribute(Pooled(0), tmp_path / "tile.png").map.shape == (36, 40)  # it takes any size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "gradcam"}, "nearest valid is 'grad-cam'"),
        ({"score": "loss"}, "`score` must be one of"),
        ({"baseline": 2.0}, r"`baseline` must lie in \[-1.0, 1.0\]"),
        ({"baseline": "gaussian"}, "`baseline` must be one of blur, mean"),
        ({"baseline": torch.zeros(3, 4, 4)}, "`baseline` must have the shape of the image"),
        ({"patsh": 3}, "nearest valid is 'patch'"),
        ({"patch": 99}, r"`patch` must lie in \[1, 16\]"),
        ({"target": [0, 1]}, "`target` must name one class for each of 1 images"),
        ({"ids": ["a", "b"]}, "`ids` must name 1 images"),
        ({"images": torch.full((3, 4, 4), 99.0)}, r"`image` must hold values in \[-1, 1\]"),
        ({"images": torch.zeros(4, 4)}, r"`image` must have shape \(C, H, W\)"),
        ({"images": []}, "`images` must hold at least one"),
        ({"model": "resnet"}, "`model` must be a bundle, a network or a callable"),
    ],
)
def test_refuses_in_one_line(image, change, message):
    arguments = {"model": Pooled(0), "images": image, "method": "occlusion"} | change
    with pytest.raises(InputError, match=message) as refused:
        attribute(**arguments)
    assert "\n" not in str(refused.value)


def test_a_bundle_is_its_classifier(image):
    class Bundle:
        name, classifier, resolution = "tiny", Pooled(0), SIDE

    found = attribute(Bundle(), Case(image, id="slide-1"), target=1)
    assert (found.case_id, found.settings["bundle"]) == ("slide-1", "tiny")
    torch.testing.assert_close(found.map, attribute(Bundle.classifier, image, target=1).map)


class Darkness(nn.Module):
    """Calls tissue diseased by its pixels darker than any of healthy tissue, all of which lie in the diseased part."""

    def __init__(self):
        super().__init__()
        self.dark = nn.Conv2d(3, 1, 1)
        self.pool = nn.AvgPool2d(5, stride=2, padding=2)
        nn.init.constant_(self.dark.weight, -1.0)
        nn.init.constant_(self.dark.bias, 0.4)

    def forward(self, x):
        seen = self.pool(self.dark(x).relu()).mean((1, 2, 3))
        return torch.stack([torch.ones_like(seen), 40 * seen], 1)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("grad-cam", {}),
        ("layer-cam", {}),
        ("score-cam", {}),
        ("integrated-gradients", {"baseline": 1.0}),
        ("gradient-shap", {"baseline": 1.0, "samples": 8}),
        ("occlusion", {"baseline": 1.0, "patch": 4}),
        ("lime", {"baseline": 1.0, "samples": 150}),
        ("kernel-shap", {"baseline": 1.0, "samples": 150}),
        ("rise", {"baseline": 1.0, "masks": 500}),
    ],
)
def test_points_at_the_diseased_part_of_synthetic_tissue(method, options):
    sick = next(case for case in tissue(12, 32, share=1, seed=1) if 0.2 < case.mask.float().mean() < 0.6)
    found = attribute(Darkness(), sick, method, 1, **options).map
    assert roc_auc_score(sick.mask.flatten().numpy(), found.flatten().numpy()) > 0.6
