import numpy as np
import pytest
import torch
from PIL import Image

from histoxplain.cli import main
from histoxplain.data import to_uint8
from histoxplain.models import Generator, GeneratorConfig, convert, save_generator

SHAPE = {"resolution": 8, "channel_base": 64, "channel_max": 8, "z_dim": 4, "w_dim": 4, "mapping_layers": 2}


@pytest.fixture
def made(tmp_path):
    """Write a generator; returns it and its file."""

    def make(classes=(), **changes):
        G = Generator(GeneratorConfig(**{**SHAPE, "c_dim": len(classes), **changes}), tuple(classes)).eval()
        torch.nn.init.normal_(G.mapping.w_avg)
        save_generator(tmp_path / "generator.safetensors", G)
        return G, str(tmp_path / "generator.safetensors")

    return make


def pixels(path):
    with Image.open(path) as picture:
        return torch.tensor(np.array(picture))


def same(a, b):
    """But for the last bit, which the size of a batch may change."""
    return bool((a.int() - b.int()).abs().max() <= 1)


@torch.no_grad()
def expected(G, seed, c=None, psi=1, cutoff=None):
    """What NVIDIA's generate.py would draw."""
    z = torch.tensor(np.random.RandomState(seed).randn(1, 4)).float()
    return to_uint8(G.synthesis(G.mapping(z, c, psi, cutoff)))[0].permute(1, 2, 0)


def test_seeds_without_labels(made, tmp_path, capsys):
    G, path = made()
    out = tmp_path / "out"
    assert main(["generate", path, "--out", str(out), "--seeds", "3-4,9"]) == 0
    assert [p.name for p in sorted(out.iterdir())] == ["seed0003.png", "seed0004.png", "seed0009.png"]
    assert capsys.readouterr().out.count("seed000") == 3
    assert same(pixels(out / "seed0009.png"), expected(G, 9))


def test_truncation_with_a_cutoff_and_a_class(made, tmp_path):
    G, path = made(("benign", "malignant"))
    options = ["--class", "malignant", "--truncation-psi", "0.5", "--truncation-cutoff", "2", "--seeds", "5"]
    assert main(["generate", path, "--out", str(tmp_path / "out"), *options]) == 0
    (file,) = (tmp_path / "out").iterdir()
    assert file.name == "malignant-seed0005.png"
    assert same(pixels(file), expected(G, 5, torch.tensor([[0.0, 1.0]]), 0.5, 2))
    assert not same(pixels(file), expected(G, 5, torch.tensor([[0.0, 1.0]]), 0.5))


def test_every_class_of_somebody_elses_file(made, tmp_path):
    _, path = made(("a", "b"), channels=1)
    convert(path, tmp_path / "theirs.pt", layout="nvidia")
    assert main(["generate", str(tmp_path / "theirs.pt"), "--out", str(tmp_path / "out"), "--seeds", "0"]) == 0
    assert [p.name for p in sorted((tmp_path / "out").iterdir())] == ["0-seed0000.png", "1-seed0000.png"]
    assert pixels(tmp_path / "out/0-seed0000.png").shape == (8, 8)


def test_images_of_another_range_are_announced(made, tmp_path, capsys):
    _, path = made(channel_base=16384, channel_max=512, const_channels=532)
    convert(path, tmp_path / "theirs.pt")
    for name, said in (("theirs.pt", True), ("generator.safetensors", False)):
        assert main(["generate", str(tmp_path / name), "--out", str(tmp_path / "out"), "--seeds", "0"]) == 0
        assert ("--image-range imagenet" in capsys.readouterr().err) == said


@torch.no_grad()
def test_styles_are_mixed_in_a_grid(made, tmp_path):
    G, path = made()
    options = ["--seeds", "0,1", "--mix", "7-9", "--mix-layers", "0-1"]
    assert main(["generate", path, "--out", str(tmp_path / "out"), *options]) == 0
    grid = pixels(tmp_path / "out/mixing.png")
    assert grid.shape == (3 * 8, 4 * 8, 3)
    assert (grid[:8, :8] == 255).all()
    assert same(grid[:8, 16:24], expected(G, 8))
    assert same(grid[16:24, :8], expected(G, 1))
    ws = [G.mapping(torch.tensor(np.random.RandomState(seed).randn(1, 4)).float(), None) for seed in (1, 8)]
    mixed = torch.cat([ws[1][:, :2], ws[0][:, 2:]], 1)
    assert same(grid[16:24, 16:24], to_uint8(G.synthesis(mixed))[0].permute(1, 2, 0))


@torch.no_grad()
def test_a_strip_leads_from_seed_to_seed(made, tmp_path):
    G, path = made()
    assert main(["generate", path, "--out", str(tmp_path / "out"), "--seeds", "0-2", "--interpolate", "4"]) == 0
    strip = pixels(tmp_path / "out/interpolation.png")
    assert strip.shape == (8, 9 * 8, 3)
    for place, seed in ((0, 0), (4, 1), (8, 2)):
        assert same(strip[:, 8 * place : 8 * place + 8], expected(G, seed))


def test_mistakes_are_one_line(made, refused, tmp_path):
    _, path = made(("a", "b"))
    assert "be one of a, b, got 'c'" in refused("generate", path, "--class", "c", "--out", tmp_path / "o")
    assert "`seeds` must be numbers and ranges" in refused("generate", path, "--seeds", "5-x", "--out", tmp_path / "o")
    assert "lie in 0 to 3" in refused("generate", path, "--mix", "1", "--mix-layers", "0-4", "--out", tmp_path / "o")
    assert "`truncation_cutoff` must lie in [0, 4]" in refused("generate", path, "--truncation-cutoff", "9")
    assert "none.pkl" in refused("generate", tmp_path / "none.pkl")
    _, path = made()
    assert "`class` must be left out" in refused("generate", path, "--class", "a", "--out", tmp_path / "o")
    assert not (tmp_path / "o").exists()
