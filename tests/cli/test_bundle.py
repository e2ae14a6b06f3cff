import json
import shutil

import pytest
import torch

from histoxplain.cli import main
from histoxplain.models import (
    Classifier,
    ClassifierConfig,
    ConceptModel,
    Generator,
    GeneratorConfig,
    load_bundle,
    load_classifier,
    load_generator,
    save_classifier,
    save_concepts,
    save_generator,
)
from histoxplain.models.viscoin.model import config_for


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A bundle of a random generator and two random classifiers, made by the verb."""
    folder = tmp_path_factory.mktemp("bundle")
    torch.manual_seed(0)
    config = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, c_dim=2, channel_base=128, channel_max=8)
    save_generator(folder / "run/generator.safetensors", Generator(config, ("healthy", "ill")), {"images_seen": 12345})
    (folder / "run/config.json").write_text(json.dumps({"batch": 8, "data": "secret/place"}))
    for seed, name in enumerate(("classifier", "oracle")):
        torch.manual_seed(seed)
        settings = {"class_names": ("healthy", "ill"), "architecture": "squeezenet1_1", "resolution": 32}
        save_classifier(folder / f"{name}/classifier.safetensors", Classifier(ClassifierConfig(**settings)))
    C = load_classifier(folder / "classifier/classifier.safetensors")
    G = load_generator(folder / "run/generator.safetensors", "cpu")
    concepts = ConceptModel(C, G, config_for(C, G, concepts=3, width=4))
    concepts.rename({1: "lumen"})
    save_concepts(folder / "run/concepts.safetensors", concepts)
    (folder / "quality.json").write_text(json.dumps({"samples": 4, "classifier_agreement": {"all": 0.51234}}))
    command = ["bundle", folder / "toy", "--generator", folder / "run/generator.safetensors"]
    command += ["--classifier", folder / "classifier/classifier.safetensors"]
    command += ["--oracle", folder / "oracle/classifier.safetensors", "--title", "Toy tissue", "--licence", "CC0"]
    command += ["--figures", folder / "quality.json", "--concepts", folder / "run/concepts.safetensors"]
    assert main([str(word) for word in command]) == 0
    return folder


def test_the_bundle_loads_and_half_precision_does_no_harm(made):
    bundle = load_bundle(made / "toy", device="cpu", precision="float32")
    assert bundle.name == "toy"
    assert bundle.oracle is not None
    assert bundle.info["licence"] == "CC0"
    assert bundle.concepts.names == ("concept 1", "lumen", "concept 3")
    torch.manual_seed(0)
    config = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, c_dim=2, channel_base=128, channel_max=8)
    whole = Generator(config)
    z, c = torch.randn(4, 8), torch.eye(2)[[0, 1, 0, 1]]
    with torch.no_grad():
        assert (whole(z, c) - bundle.generator(z, c)).abs().max() < 0.02 * whole(z, c).std()


def test_the_card_tells_figures_and_terms_but_no_paths(made):
    card = (made / "toy/README.md").read_text()
    assert "# Toy tissue" in card
    assert "CC0" in card
    assert "12,345" in card
    assert "| classifier agreement, all | 0.5123 |" in card
    assert "secret" not in card
    assert "## Concepts" in card
    assert (made / "toy/samples.png").stat().st_size > 100


def test_measure_counts_what_the_classifiers_say(made, capsys, tmp_path):
    out = tmp_path / "figures.json"
    command = ["measure", "--bundle", str(made / "toy"), "--count", "8", "--out", str(out)]
    assert main(command) == 0
    figures = json.loads(out.read_text())
    assert figures == json.loads(capsys.readouterr().out)
    assert figures["samples"] == 8
    by_class = figures["classifier_agreement"]
    assert by_class["all"] == pytest.approx((by_class["healthy"] + by_class["ill"]) / 2)
    assert 0 <= figures["oracle_agreement"]["all"] <= 1


@pytest.fixture
def strangers(made, tmp_path):
    """Classifiers of other classes."""
    settings = {"class_names": ("cat", "dog"), "architecture": "squeezenet1_1", "resolution": 32}
    return save_classifier(tmp_path / "pets/classifier.safetensors", Classifier(ClassifierConfig(**settings)))


@pytest.mark.parametrize("role", ["classifier", "oracle"])
def test_networks_that_do_not_fit_leave_nothing_behind(made, refused, strangers, tmp_path, role):
    files = {"generator": "run/generator.safetensors", "classifier": "classifier/classifier.safetensors"}
    words = [f"--{name}={made / file}" for name, file in files.items() if name != role]
    said = refused("bundle", tmp_path / "toy", *words, f"--{role}", strangers)
    assert "of the same classes, got " in said
    assert f"in {tmp_path / 'toy'}." in said
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]


def test_a_bundle_that_was_there_stays_as_it_was_when_the_new_one_fails(made, refused, strangers, tmp_path):
    shutil.copytree(made / "toy", tmp_path / "toy")
    before = {path.name: path.read_bytes() for path in (tmp_path / "toy").iterdir()}
    refused("bundle", tmp_path / "toy", "--generator", made / "run/generator.safetensors", "--classifier", strangers)
    assert {path.name: path.read_bytes() for path in (tmp_path / "toy").iterdir()} == before


def test_a_folder_of_other_things_is_left_alone(made, refused):
    words = ["--generator", made / "run/generator.safetensors"]
    words += ["--classifier", made / "classifier/classifier.safetensors"]
    before = sorted(path.name for path in (made / "run").iterdir())
    assert "`OUT` must be a new folder, an empty one or a bundle" in refused("bundle", made / "run", *words)
    assert sorted(path.name for path in (made / "run").iterdir()) == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["measure", "--bundle", "nowhere"], "`bundle`"),
        (["measure", "nowhere.lmdb"], "`data`"),
        (["measure", "--count", "1"], "`count`"),
        (["bundle", "x", "--generator", "a.safetensors", "--classifier", "b.safetensors"], "`generator`"),
    ],
)
def test_bad_input(words, says, refused):
    assert says in refused(*words)
