import json

import numpy as np
import pytest
import torch
from PIL import Image

from histoxplain.cli import main
from histoxplain.data import open_source
from histoxplain.explain import counterfactual
from histoxplain.explain.reliability.familiarity import distances, features_of
from histoxplain.explain.reliability.percentile import percentile
from histoxplain.models import (
    Classifier,
    ClassifierConfig,
    Generator,
    GeneratorConfig,
    Translator,
    TranslatorConfig,
    load_bundle,
    save_classifier,
    save_generator,
    save_translator,
    write_bundle,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bundle of random networks, and 60 images of coloured dots in two classes."""
    path, draw = tmp_path_factory.mktemp("reference"), np.random.default_rng(0)
    torch.manual_seed(0)
    config = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, c_dim=2, channel_base=128, channel_max=8)
    save_generator(path / "toy/generator.safetensors", Generator(config, ("blue", "red")))
    settings = {"class_names": ("blue", "red"), "architecture": "squeezenet1_1", "resolution": 32}
    save_classifier(path / "toy/classifier.safetensors", Classifier(ClassifierConfig(**settings)))
    files = {role: f"{role}.safetensors" for role in ("generator", "classifier")}
    write_bundle(path / "toy", "toy", files, licence="CC0")
    for i in range(60):
        pixels = draw.integers(100, 156, (16, 16, 3))
        pixels[..., 2 * (i % 2)] += 80
        file = path / "data" / ("red", "blue")[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(file)
    return path


def test_measures_and_ships_it_in_the_bundle(folder, capsys):
    assert main(["reference", str(folder / "data"), "--bundle", str(folder / "toy"), "--redrawn", "2"]) == 0
    assert "reference.safetensors" in capsys.readouterr().out
    assert (folder / "toy/reference.safetensors").stat().st_size < 1_000_000
    info = json.loads((folder / "toy/bundle.json").read_text())
    assert (info["licence"], info["files"]["reference"]) == ("CC0", "reference.safetensors")
    bundle = load_bundle(folder / "toy", device="cpu")
    found = bundle.reference
    assert (found.images, len(found.distances), len(found.errors), len(found.means)) == (30, 30, 2, 2)
    assert repr(found) == "Reference('data: one half against the other': 30 images, 30 further ones, 2 redrawn)"
    assert found.distances.diff().min() >= 0
    known = torch.stack([case.image for case in open_source(folder / "data")])
    stripes = torch.ones(1, 3, 16, 16)
    stripes[..., ::4] = -1
    inside = [percentile(value, found.distances) for value in distances(features_of(known), found).tolist()]
    assert np.median(inside) < 60
    assert percentile(distances(features_of(stripes), found).item(), found.distances) == 100


def test_only_reconstructions_again(folder, refused, capsys):
    bundle, data = folder / "toy", folder / "data"
    before = load_bundle(bundle, device="cpu").reference
    assert main(["reference", str(data), "--bundle", str(bundle), "--redrawn", "1", "--again"]) == 0
    after = load_bundle(bundle, device="cpu").reference
    assert (len(after.errors), after.data) == (1, before.data)
    assert after.distances.equal(before.distances)
    assert after.means.equal(before.means)
    capsys.readouterr()
    other = folder / "other"
    data.rename(other)
    assert "`kept` must be of other" in refused("reference", other, "--bundle", bundle, "--redrawn", 0, "--again")
    other.rename(data)


def test_a_bundle_that_only_translates_has_nothing_to_redraw_with(folder):
    place = folder / "translating"
    shape = TranslatorConfig(class_names=("blue", "red"), resolution=16, channels=3, width=4, depth=2)
    save_translator(place / "translator.safetensors", Translator(shape))
    (place / "classifier.safetensors").write_bytes((folder / "toy/classifier.safetensors").read_bytes())
    write_bundle(place, "translating", {role: f"{role}.safetensors" for role in ("translator", "classifier")})
    assert main(["reference", str(folder / "data"), "--bundle", str(place)]) == 0
    bundle = load_bundle(place, device="cpu")
    assert (len(bundle.reference.distances), len(bundle.reference.errors)) == (30, 0)
    assert bundle.reference.inversion == "no generator to redraw with"
    found = counterfactual(bundle, folder / "data/red/0.png", method="cyclegan")
    answers = {check["name"]: (check["fine"], check["answer"]) for check in found.reliability["checks"]}
    assert answers["familiar"][0] is True
    assert answers["drawable"] == (None, "this method starts from the image itself")
    assert main(["reference", str(folder / "data"), "--bundle", str(place), "--again"]) == 0
    assert len(load_bundle(place, device="cpu").reference.errors) == 0


def test_bad_input(folder, refused):
    assert "`data`" in refused("reference", "nowhere", "--bundle", folder / "toy")
    few = folder / "few"
    few.mkdir()
    Image.new("RGB", (16, 16)).save(few / "1.png")
    assert "have 20 images to learn from and 20 others, got " in refused("reference", few, "--bundle", folder / "toy")
