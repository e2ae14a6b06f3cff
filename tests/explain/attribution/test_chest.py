"""Maps of the shipped classifier on real chest X-rays of patients that nothing was trained on."""

import pytest
import torch

import histoxplain as hx
from histoxplain.explain import attribute, image_of
from histoxplain.metrics import faithfulness, rank_correlation, sanity_check

TEST_SPLIT = {
    "NORMAL": ("IM-0207-0001", "IM-0434-0001", "NORMAL2-IM-0859-0001"),
    "PNEUMONIA": ("person1071_bacteria_3005", "person21_bacteria_72", "person437_virus_888"),
}


@pytest.fixture(scope="module")
def chest():
    return hx.load_bundle("chest-xray", device="cpu")


@pytest.fixture(scope="module")
def real(chest, shared):
    folder = shared / "data/chest_xray"
    files = [folder / name / f"{number}.jpeg" for name, numbers in TEST_SPLIT.items() for number in numbers]
    return torch.stack([image_of(file, chest, fit=True) for file in files])


@pytest.fixture(scope="module")
def gradients(chest, real):
    """Integrated gradients of every image, for each of the two classes."""
    return [attribute(chest, real, "integrated-gradients", k, steps=8) for k in (0, 1)]


def test_the_classifier_is_right(chest, real):
    assert chest.classifier.probabilities(real).argmax(1).tolist() == [0, 0, 0, 1, 1, 1]


def test_integrated_gradients_add_up_to_the_score(chest, real):
    """The gradient is rough on the way: 8 steps miss logits, 128 a tenth of the score's change or less."""
    for image, target in ((real[0], 0), (real[4], 1)):
        few, many = (attribute(chest, image, "integrated-gradients", target, steps=steps) for steps in (8, 128))
        with torch.no_grad():
            score = chest.classifier(torch.stack([image, torch.zeros_like(image)]))[:, target]
        change = float(score[0] - score[1])
        missing = [abs(float(one.map.sum()) - change) for one in (few, many)]
        assert missing[1] < 0.12 * max(abs(change), 1)
        assert missing[1] < 0.3 * missing[0]
        assert abs(many.settings["missing of the score's change"]) == pytest.approx(missing[1], abs=0.01)


def test_what_speaks_for_one_class_speaks_against_the_other(gradients):
    alike = [rank_correlation(a.map, b.map) for a, b in zip(*gradients)]
    assert max(alike) < 0
    assert sum(alike) / len(alike) < -0.3


def test_grad_cam_tells_the_classes_apart(chest, real):
    maps = [attribute(chest, real, "grad-cam", k) for k in (0, 1)]
    assert max(rank_correlation(a.map, b.map) for a, b in zip(*maps)) < 0.5


def test_maps_are_of_what_the_network_learned(chest, real):
    def explain(network):
        return attribute(network, real[0], "integrated-gradients", 0, steps=8).map

    assert max(map(abs, sanity_check(explain, chest.classifier, seeds=(0, 1)))) < 0.1


def areas(chest, image, map, target):
    def score(x):
        return chest.classifier.probabilities(x)[:, target].detach()

    return faithfulness(score, image, map, steps=8)


def test_normal_lungs_are_in_the_map(chest, real):
    """Hiding what Grad-CAM names takes the opinion away sooner than a random order, showing it brings it sooner."""
    found = [areas(chest, image, attribute(chest, image, "grad-cam", 0).map, 0) for image in real[:3]]
    assert all(one.deletion.area < one.random_deletion.area - 0.1 for one in found)
    assert all(one.insertion.area > one.random_insertion.area + 0.1 for one in found)


def test_pneumonia_cannot_be_deleted_by_blurring(chest, real):
    """Of a blurred X-ray the classifier says pneumonia, so that deletion and insertion tell little (see the card)."""
    for image in real[3:]:
        one = areas(chest, image, torch.zeros(image.shape[1:]), 1)
        assert one.random_deletion.area > 0.8
        assert one.random_deletion.scores[-1] > 0.5
