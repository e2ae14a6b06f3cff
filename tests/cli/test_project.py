import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from histoxplain.cli import main
from histoxplain.data import to_uint8
from histoxplain.explain import image_of, latent_space
from histoxplain.models import Generator, GeneratorConfig, load_bundle, save_generator

SHAPE = {"resolution": 16, "channel_base": 128, "channel_max": 8, "z_dim": 8, "w_dim": 8, "mapping_layers": 2}


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch):
    """A small gallery: how well the search goes is another room's business."""
    measure = latent_space

    def few(bundle, seed=0):
        return measure(bundle, samples=64, pictures=8, seed=seed)

    for module in ("invert", "project"):
        monkeypatch.setattr(sys.modules[f"histoxplain.explain.{module}"], "latent_space", few)


def generator(tmp_path, classes=(), **changes):
    G = Generator(GeneratorConfig(**{**SHAPE, **changes}, c_dim=len(classes)), tuple(classes)).eval()
    save_generator(tmp_path / "generator.safetensors", G)
    return G, str(tmp_path / "generator.safetensors")


def pixels(path):
    with Image.open(path) as picture:
        return np.array(picture).astype(int)


@torch.no_grad()
def drawn(G, path, label=None):
    """An image that the generator can draw, as a file; returns its pixels."""
    c = None if label is None else torch.eye(G.c_dim)[[label]]
    image = to_uint8(G.synthesis(G.mapping(torch.randn(1, 8), c)))[0].permute(1, 2, 0)
    Image.fromarray(image.numpy()).save(path)
    return image


def test_an_image_without_labels(tmp_path, capsys):
    G, path = generator(tmp_path)
    drawn(G, tmp_path / "tile.png")
    out = tmp_path / "out"
    assert main(["project", path, str(tmp_path / "tile.png"), "--out", str(out), "--steps", "40"]) == 0
    assert f"tile.png -> {out / 'tile'}, PSNR" in capsys.readouterr().out
    ws = load_file(out / "tile/latent.safetensors")["w"]
    assert ws.shape == (1, G.num_ws, 8)
    about = json.loads((out / "tile/projection.json").read_text())
    assert about["files"] == {"projected": "projected.png", "latent": "latent.safetensors"}
    assert (about["class"], about["space"], about["steps"]) == (None, "w+", 40)
    start = drawn_by(G, G.mapping.w_avg.expand(1, G.num_ws, 8))
    tile, found = pixels(tmp_path / "tile.png"), pixels(out / "tile/projected.png")
    assert abs(tile - found).mean() < 0.5 * abs(tile - start).mean()
    assert about["l1"] == pytest.approx(abs(tile - found).mean() / 255, abs=0.01)
    assert np.abs(drawn_by(G, ws) - found).max() <= 8  # what is saved is what is shown, but for the precision


@torch.no_grad()
def drawn_by(G, ws):
    return to_uint8(G.synthesis(ws))[0].permute(1, 2, 0).numpy().astype(int)


def test_one_latent_for_all_layers_and_a_label(tmp_path):
    G, path = generator(tmp_path, ("benign", "malignant"))
    drawn(G, tmp_path / "tile.png", 1)
    options = ["--class", "malignant", "--space", "w", "--format", "npz", "--steps", "3"]
    assert main(["project", path, str(tmp_path / "tile.png"), "--out", str(tmp_path / "out"), *options]) == 0
    with np.load(tmp_path / "out/tile/latent.npz") as arrays:
        ws = arrays["w"]
    assert ws.shape == (1, G.num_ws, 8)
    assert (ws == ws[:, :1]).all()
    assert json.loads((tmp_path / "out/tile/projection.json").read_text())["class"] == "malignant"
    again = ["generate", path, "--latents", str(tmp_path / "out/tile/latent.npz"), "--out", str(tmp_path / "again")]
    assert main(again) == 0
    assert np.abs(pixels(tmp_path / "out/tile/projected.png") - pixels(tmp_path / "again/latent0000.png")).max() <= 8


def test_a_bundle_brings_its_own_classifier(tmp_path):
    out = ["--out", str(tmp_path)]
    assert main(["generate", "lung-histology", "--class", "benign", "--seeds", "1", *out]) == 0
    assert main(["project", "lung-histology", str(tmp_path / "benign-seed0001.png"), "--steps", "2", *out]) == 0
    about = json.loads((tmp_path / "benign-seed0001/projection.json").read_text())
    bundle = load_bundle("lung-histology")
    with torch.no_grad():
        opinion = bundle.classifier(image_of(tmp_path / "benign-seed0001.png", bundle)[None]).argmax(1)
    assert about["class"] == bundle.class_names[int(opinion)]
    assert about["network"] == "lung-histology"


def test_mistakes_are_one_line(refused, tmp_path):
    _, path = generator(tmp_path)
    Image.new("RGB", (20, 10)).save(tmp_path / "wide.png")
    assert "`image` must be 16 x 16 pixels" in refused("project", path, tmp_path / "wide.png", "--out", tmp_path / "o")
    assert "none.png" in refused("project", path, tmp_path / "none.png")
    (tmp_path / "w.npz").write_bytes(b"damaged")
    assert "`latents` must be a file of" in refused("generate", path, "--latents", tmp_path / "w.npz")
    np.savez(tmp_path / "w.npz", w=np.zeros((1, 3, 8)))
    assert "have shape (N, 6, 8), got (1, 3, 8)" in refused("generate", path, "--latents", tmp_path / "w.npz")
    assert not (tmp_path / "o").exists()
