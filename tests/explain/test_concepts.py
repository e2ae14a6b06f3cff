"""Concepts of images, classes and data sets; more or less of them; where they are; what people call them."""

from dataclasses import replace

import pytest
import torch

from histoxplain import InputError
from histoxplain.data import Case
from histoxplain.explain import change_concepts, concept_film, concept_maps, name_concepts, read_concepts
from histoxplain.models import (
    Classifier,
    ClassifierConfig,
    ConceptModel,
    Generator,
    GeneratorConfig,
    load_bundle,
    load_classifier,
    load_concepts,
    load_generator,
    save_classifier,
    save_concepts,
    save_generator,
    write_bundle,
)
from histoxplain.models.viscoin.model import config_for
from tests.explain.known_concepts import KnownConcepts


@pytest.fixture
def known(bundle):
    """A bundle whose concepts are known on paper."""
    made = replace(bundle)
    object.__setattr__(made, "concepts", KnownConcepts(bundle))
    return made


def test_importance_is_activation_times_weight(known, colour):
    (first, *rest) = read_concepts(known, [colour(0.5, 0.2)]).ranked()
    assert (first.name, first.number, first.share) == ("redness", 0, 1.0)  # the classifier says red
    assert (first.activation, first.weight) == pytest.approx((0.5, 3.0), abs=0.01)
    assert first.importance == pytest.approx(1.5, abs=0.03)
    assert {one.name: round(one.importance, 1) for one in rest} == {"green": 0.1, "darkness": 0, "never": 0}
    reading = read_concepts(known, colour(0.5, 0.2))
    assert reading.ranked("dark")[-1].name == "redness"  # it speaks against that class
    assert reading.ranked("dark")[-1].importance == pytest.approx(-0.5, abs=0.01)


def test_a_class_and_a_data_set(known, colour):
    cases = [Case(colour(r), id=name, group="g") for name, r in (("a", 0.4), ("b", 0.8), ("c", -0.6), ("d", 0.0))]
    reading = read_concepts(known, cases)
    assert (len(reading), reading.ids, reading.groups) == (4, ("a", "b", "c", "d"), ("g",) * 4)
    assert reading.probabilities.argmax(1).tolist() == [2, 2, 0, 1]
    red, dark = reading.ranked("red")[0], reading.ranked("dark")[0]
    assert (red.name, dark.name) == ("redness", "darkness")
    assert red.importance == pytest.approx(3 * (0.4 + 0.8) / 2, abs=0.03)  # over the two red images
    assert dark.importance == pytest.approx(2 * 0.6, abs=0.03)
    whole = {one.name: one.importance for one in reading.ranked()}  # each image asked about its own class
    assert whole["redness"] == pytest.approx(3 * (0.4 + 0.8) / 4, abs=0.03)
    assert whole["darkness"] == pytest.approx(2 * 0.6 / 4, abs=0.03)
    # Theta says red, red, dark and, with no concept at all, the first class instead of medium
    assert reading.fidelity == 0.75
    assert read_concepts(known, cases, limit=3).ids == ("a", "b", "c")


def test_more_or_less_of_a_concept(known, colour):
    x = colour(0.4, 0.2)[None]
    for factors, red in (({}, 0.4), ({"redness": 0}, 0.0), ({0: 2.0}, 0.8), ({"redness": 0.5, "green": 4}, 0.2)):
        seen = change_concepts(known, x, factors)
        assert seen.images[0, 0].mean() == pytest.approx(red, abs=0.01)
        assert seen.images[0, 1].mean() == pytest.approx(0.2, abs=0.01)  # Omega moves nothing but red
        torch.testing.assert_close(seen.probabilities, known.classifier.probabilities(seen.images))
    predicted = change_concepts(known, x, {"redness": 2}).predicted[0]
    phi = x[0, :2, 0, 0] * torch.tensor([2.0, 1.0])
    right = torch.stack([-phi[0], torch.zeros(()), 3 * phi[0] + 0.5 * phi[1]]).softmax(0)
    torch.testing.assert_close(predicted, right, atol=0.01, rtol=0)


def test_a_film_of_one_concept(known, colour):
    film = concept_film(known, colour(0.2), "redness", (0, 1, 2, 4))
    assert film.alphas.tolist() == [0, 1, 2, 4]
    assert [round(float(frame[0].mean()), 1) for frame in film.frames] == [0.0, 0.2, 0.4, 0.8]
    assert (film.source, film.target) == (1, 2)


def test_maps_lie_where_the_concept_is(known):
    x = torch.full((1, 3, 16, 16), -0.5)
    x[0, 0, :8, 8:] = 0.9  # red in the upper right quarter
    red, dark = concept_maps(known, x, ["redness", 1])[0]
    assert red.shape == (16, 16)
    assert (red.max(), dark.max()) == pytest.approx((0.9, 0.5))
    assert (red.argmax() // 16 < 8, red.argmax() % 16 >= 8) == (True, True)
    assert red[8:, :8].max() < 0.25 * red.max()  # bilinear: only the neighbouring places get some
    assert concept_maps(known, x).shape == (1, 4, 16, 16)


def test_wrong_questions(known, colour, bundle):
    with pytest.raises(InputError, match=r"`concept` must be one of redness.*nearest valid is 'redness'"):
        change_concepts(known, colour(0.4)[None], {"rednes": 2})
    with pytest.raises(InputError, match="`concept` must be a name or a number from 0 to 3, got 4"):
        concept_maps(known, colour(0.4)[None], [4])
    with pytest.raises(InputError, match="`factors` must be 0 or more, got -1 for redness"):
        concept_film(known, colour(0.4), "redness", (-1, 1))
    with pytest.raises(InputError, match="`images` must hold at least one image"):
        read_concepts(known, [])
    with pytest.raises(InputError, match="`bundle` must hold a concept model for concepts, got paint without"):
        read_concepts(bundle, [colour(0.4)])


def test_names_are_saved_with_the_model(tmp_path):
    names = ("dark", "light")
    shape = {"resolution": 32, "channel_base": 128, "channel_max": 8, "z_dim": 8, "w_dim": 8, "mapping_layers": 1}
    save_generator(tmp_path / "generator.safetensors", Generator(GeneratorConfig(c_dim=2, **shape), names))
    config = ClassifierConfig(class_names=names, architecture="squeezenet1_1", resolution=32)
    save_classifier(tmp_path / "classifier.safetensors", Classifier(config))
    classifier = load_classifier(tmp_path / "classifier.safetensors")
    generator = load_generator(tmp_path / "generator.safetensors", "cpu")
    model = ConceptModel(classifier, generator, config_for(classifier, generator, concepts=4, width=4))
    save_concepts(tmp_path / "concepts.safetensors", model)
    files = {role: f"{role}.safetensors" for role in ("classifier", "generator", "concepts")}
    write_bundle(tmp_path, "tiny", files)
    bundle = load_bundle(tmp_path, "cpu")
    before = {name: value.clone() for name, value in bundle.concepts.state_dict().items()}
    file = name_concepts(bundle, {"concept 2": "lumen", 3: "nuclei"})
    names = ("concept 1", "lumen", "concept 3", "nuclei")
    assert bundle.concepts.names == names
    assert file == tmp_path / "concepts.safetensors"
    again = load_concepts(file, classifier, generator)
    assert again.names == names
    for name, value in again.state_dict().items():
        assert torch.equal(value, before[name])
    with pytest.raises(InputError, match="differ"):
        name_concepts(bundle, {0: "lumen"})
    assert load_concepts(file, classifier, generator).names == names
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", *[".safetensors"] * 3]
