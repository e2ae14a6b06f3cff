"""The concepts of the bundle lung-histology: 24 tiles that nothing was trained on, eight of each class."""

import pytest

import histoxplain as hx
from histoxplain.data import Case
from histoxplain.evaluation import measure_concepts
from histoxplain.explain import image_of

TEST_SPLIT = {
    "adenocarcinoma/lungaca": (1010, 1704, 2231, 2657, 3247, 3764, 4424, 537),
    "benign/lungn": (1, 1373, 18, 2335, 2865, 3379, 3942, 4772),
    "squamous/lungscc": (1014, 1496, 2016, 2417, 3013, 3756, 4218, 4639),
}
STEP = 2


@pytest.fixture(scope="module")
def measured(shared):
    bundle, cases = hx.load_bundle("lung-histology", device="cpu"), []
    for label, (name, numbers) in enumerate(TEST_SPLIT.items()):
        for number in numbers[::STEP]:
            image = image_of(shared / f"data/lung_histology/{name}{number}.jpeg", bundle)
            cases.append(Case(image, label=label, id=f"{name}{number}"))
    return measure_concepts(bundle.concepts, cases, consistency=False)


def test_concepts_say_what_the_classifier_says(measured):
    """Required are .92 of all test tiles; one of these twelve may be another."""
    assert measured["fidelity"] >= 11 / 12
    assert measured["accuracy"]["concepts"] >= 10 / 12


def test_reconstructions_keep_the_class(measured):
    """Required are .85 of all test tiles; two of these may be others."""
    assert measured["kept"]["all"] >= 10 / 12


def test_the_class_hangs_on_the_concepts_that_are_named(measured):
    assert measured["drop"]["5"] > 0.05
    assert measured["drop"]["5"] > 3 * measured["random_drop"]["5"]


def test_maps_go_with_the_tissue(measured):
    """Turned half around, tissue takes its concepts along; of concepts that know places alone, maps would stay."""
    places = measured["places"]
    assert places["turned"] > 0.35
    assert places["turned"] > places["unturned"] + 0.25
