import json
from dataclasses import replace

import pytest
import torch

import histoxplain as hx
from histoxplain import InputError
from histoxplain.models import (
    Classifier,
    ClassifierConfig,
    DetailEncoder,
    Generator,
    GeneratorConfig,
    Translator,
    TranslatorConfig,
    save_classifier,
    save_encoder,
    save_generator,
    save_translator,
    write_bundle,
)
from histoxplain.models.detail_encoder import config_for


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoints") / "toy"
    torch.manual_seed(0)
    config = GeneratorConfig(
        resolution=16, z_dim=8, w_dim=8, c_dim=2, channel_base=128, channel_max=8, mapping_layers=2
    )
    save_generator(path / "generator.safetensors", Generator(config, ("healthy", "ill")))
    classifier = Classifier(
        ClassifierConfig(class_names=("healthy", "ill"), architecture="squeezenet1_1", resolution=32)
    )
    save_classifier(path / "classifier.safetensors", classifier)
    files = {"generator": "generator.safetensors", "classifier": "classifier.safetensors"}
    return write_bundle(path, "toy", files, licence="CC0")


def test_loads_by_path_and_by_name(folder, monkeypatch):
    bundle = hx.load_bundle(folder, device="cpu")
    assert (bundle.class_names, bundle.resolution, bundle.oracle) == (("healthy", "ill"), 16, None)
    assert "CC0" in repr(bundle)
    monkeypatch.setenv("HISTOXPLAIN_CHECKPOINTS", str(folder.parent))
    assert hx.load_bundle("toy", device="cpu").path == folder
    x = bundle.generator(torch.zeros(2, 8), torch.eye(2))
    assert bundle.classifier(x).shape == (2, 2)


def test_unknown_name_says_the_nearest(folder, monkeypatch):
    monkeypatch.setenv("HISTOXPLAIN_CHECKPOINTS", str(folder.parent))
    with pytest.raises(InputError, match="nearest valid is 'toy'"):
        hx.load_bundle("toyy")


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"format": "other", "files": {}})])
def test_damaged_description(folder, tmp_path, content):
    (tmp_path / "bundle.json").write_text(content)
    with pytest.raises(InputError, match=r"bundle\.json"):
        hx.load_bundle(tmp_path)


def test_an_encoder_comes_along_if_it_fits(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    role = {"generator": "generator.safetensors", "classifier": "classifier.safetensors"}
    shape = config_for(hx.load_bundle(folder, device="cpu").generator, width=4, depth=1)
    for num_ws, fits in ((6, True), (8, False)):
        save_encoder(tmp_path / "e.safetensors", DetailEncoder(replace(shape, num_ws=num_ws)))
        write_bundle(tmp_path, "toy", role | {"encoder": "e.safetensors"})
        if fits:
            bundle = hx.load_bundle(tmp_path, device="cpu")
            assert bundle.encoder(torch.zeros(1, 3, 16, 16)).shape == (1, 6, 8)
        else:
            with pytest.raises(InputError, match="encoder of equal resolution, channels, num_ws and w_dim"):
                hx.load_bundle(tmp_path, device="cpu")


def test_truncated_generator(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    whole = (folder / "generator.safetensors").read_bytes()
    (tmp_path / "generator.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="whole safetensors file"):
        hx.load_bundle(tmp_path)


def test_write_bundle_wants_its_files(tmp_path):
    with pytest.raises(InputError, match=r"got a\.safetensors"):
        write_bundle(tmp_path, "x", {"generator": "a.safetensors", "classifier": "b.safetensors"})


def translating(path, source, **changes):
    """The classifier of a bundle beside a translator, as a bundle."""
    shape = {"class_names": ("healthy", "ill"), "resolution": 24, "channels": 3, "width": 4, "depth": 2} | changes
    save_translator(path / "t.safetensors", Translator(TranslatorConfig(**shape)))
    (path / "c.safetensors").write_bytes((source / "classifier.safetensors").read_bytes())
    return write_bundle(path, "translating", {"classifier": "c.safetensors", "translator": "t.safetensors"})


def test_a_translator_can_take_the_generators_place(folder, tmp_path):
    bundle = hx.load_bundle(translating(tmp_path, folder), device="cpu")
    assert (bundle.generator, bundle.resolution) == (None, 24)
    assert hx.load_bundle(folder, device="cpu").translator is None
    explanation = hx.explain.counterfactual(bundle, torch.zeros(3, 24, 24), method="cyclegan")
    assert torch.equal(explanation.counterfactuals[0], explanation.original)  # at first nothing changes
    with pytest.raises(InputError, match="must hold a generator for the method latent, got translating without"):
        hx.explain.counterfactual(bundle, torch.zeros(3, 24, 24))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"class_names": ("ill", "healthy")},
            "a translator and a classifier of the same classes, got ill, healthy",
        ),
        ({"channels": 1}, "a translator and a classifier of equal channel counts, got 1 and 3"),
    ],
)
def test_a_translator_that_does_not_fit_is_refused(folder, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        hx.load_bundle(translating(tmp_path, folder, **changes), device="cpu")


def test_a_bundle_draws_something(folder):
    with pytest.raises(InputError, match="name a generator, a translator or an inpainter"):
        write_bundle(folder, "toy", {"classifier": "classifier.safetensors"})
