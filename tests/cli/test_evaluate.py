import json
import math

import pytest
import torch
from PIL import Image
from torch import nn

from histoxplain import metrics, models
from histoxplain.cli import evaluate, main
from histoxplain.evaluation import Evaluation
from histoxplain.explain import Explainer

pytestmark = pytest.mark.usefixtures("paint")

KEYS = {"method", "images", "flip_rate", "oracle_flip_rate", "l1", "perceptual", "sparsity", "diversity"}
KEYS |= {"fid", "kid", "features", "resize", "covariance", "real_images", "perceptual_features", "seconds_per_image"}


@pytest.fixture
def folder(png, tmp_path):
    for i in range(3):
        for name, red in {"dark": 10, "medium": 120, "red": 220}.items():
            png(f"data/{name}/{i}", red + 8 * i)
    return tmp_path / "data"


def test_real_images(folder, tmp_path, capsys):
    out = tmp_path / "m.json"
    options = ["--limit", "6", "--count", "2", "--features", metrics.FEATURES, "--out", str(out)]
    assert main(["evaluate", str(folder), "--bundle", "paint", *options]) == 0
    figures = json.loads(out.read_text())
    assert set(figures) >= KEYS
    assert set(figures["intervals"]) >= {"flip_rate", "l1", "fid", "kid", "stability", "minimality", "composition_l1"}
    assert all(figures[name] == ends["value"] for name, ends in figures["intervals"].items())
    said = capsys.readouterr().out
    assert said.startswith(f"latent on {folder}, bundle paint: 6 images, 2 counterfactuals each, ")
    assert said.endswith(f"-> {out}, {out.with_suffix('.png')}\n")
    assert said.count(" is better\n") == len(figures["intervals"])
    assert (figures["features"], figures["resize"]) == (metrics.FEATURES, "128 px, bilinear, antialiased")
    assert (figures["covariance"], figures["real_images"]) == ("divided by N", 9)
    assert figures["images"] == 6
    assert figures["flip_rate"] == 1
    assert figures["oracle_flip_rate"] >= 0.5
    assert figures["diversity"] > 0
    assert all(math.isfinite(figures[k]) for k in ("l1", "perceptual", "sparsity", "fid", "kid", "seconds_per_image"))
    assert sum(pair["images"] for pair in figures["pairs"].values()) == 6
    assert len(figures["pairs"]) == 6  # every class is asked to become each of the others
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "m.json", "m.png"]
    with Image.open(tmp_path / "m.png") as picture:
        assert min(picture.size) > 300
    assert Evaluation.load(out).to_dict() == figures


def test_generated_images(tmp_path):
    out = tmp_path / "m.json"
    assert main(["evaluate", "generated", "--bundle", "paint", "--limit", "7", "--keep", "--out", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert (figures["images"], figures["flip_rate"], figures["diversity"]) == (7, 1, None)
    assert [figures[k] for k in ("fid", "kid", "real_images")] == 3 * [None]  # nothing real to compare with
    assert len(list((tmp_path / "m.json.explanations").iterdir())) == 7


def test_goes_on_where_it_stopped(folder, tmp_path, monkeypatch):
    record, kept, out = Explainer.record, [], tmp_path / "m.json"

    def interrupted(self, *args):
        if len(kept) == 4:
            raise KeyboardInterrupt
        kept.append(args)
        return record(self, *args)

    monkeypatch.setattr(Explainer, "record", interrupted)
    arguments = ["evaluate", str(folder), "--bundle", "paint", "--limit", "6", "--batch-size", "2", "--out", str(out)]
    assert main(arguments) == 130
    assert not out.exists()
    monkeypatch.setattr(Explainer, "record", lambda self, *args: kept.append(args) or record(self, *args))
    assert main(arguments) == 0
    assert len(kept) == 6


def test_the_baseline_starts_from_images(folder, tmp_path):
    """It has no latents: generated images are given to it as images, and it takes options by name."""
    out = tmp_path / "m.json"
    options = ["--bundle", "paint", "--method", "pixels", "--option", "levels=255", "--out", str(out)]
    for data in (str(folder), "generated"):
        assert main(["evaluate", data, "--limit", "6", *options]) == 0
        figures = json.loads(out.read_text())
        assert (figures["method"], figures["options"]) == ("pixels", {"levels": 255})
        assert figures["flip_rate"] == 1
        assert (figures["composition_l1"], figures["composition_kept"]) == (0, 1)


class Paleness(nn.Module):
    """Calls tissue diseased where haematoxylin takes much of its red away."""

    class_names, resolution, channels = ("healthy", "diseased"), 64, 3

    def forward(self, x):
        dark = 30 * (0.61 - x[:, 0].mean((1, 2)))  # between the classes' means, 0.69 and 0.49
        return torch.stack([-dark, dark], 1)

    def probabilities(self, x):
        return self(x).softmax(1)


def test_synthetic_tissue_tells_what_is_beside_the_point(paint, tmp_path, monkeypatch, capsys):
    """The baseline flips everything by a change all over the image, half of which is not diseased."""
    known = type(paint)(paint.generator, Paleness(), class_names=Paleness.class_names, resolution=64)
    monkeypatch.setitem(vars(models), "load_bundle", lambda name: known)
    monkeypatch.setattr(evaluate, "REFERENCE", 12)
    out = tmp_path / "m.json"
    command = ["evaluate", "synthetic", "--method", "pixels", "--limit", "4", "--no-morphometry", "--out", str(out)]
    assert main(command) == 0
    figures = json.loads(out.read_text())
    assert figures["flip_rate"] == 1
    assert figures["real_images"] == 12  # other tissue of both classes
    assert figures["fid"] > 0
    assert figures["outside_share"] > 0.3
    assert {row["name"] for row in figures["factors"]} == {"haematoxylin"}
    assert "known causes" in capsys.readouterr().out


def test_other_options_are_another_question(folder, tmp_path):
    """What an interrupted run left is used again only if it was made with the same options."""
    out = tmp_path / "m.json"
    command = ["evaluate", str(folder), "--bundle", "paint", "--method", "pixels", "--limit", "3", "--keep"]
    for levels, rate in ((1, 0), (255, 1)):
        assert main([*command, "--option", f"levels={levels}", "--out", str(out)]) == 0
        assert json.loads(out.read_text())["flip_rate"] == rate


def test_methods_side_by_side(folder, tmp_path, capsys, refused):
    outs = [tmp_path / f"{method}.json" for method in ("latent", "pixels")]
    for out in outs:
        command = ["evaluate", str(folder), "--bundle", "paint", "--limit", "3", "--no-morphometry"]
        assert main([*command, "--method", out.stem, "--out", str(out)]) == 0
    capsys.readouterr()
    picture = tmp_path / "both.png"
    assert main(["compare", *map(str, outs), "--out", str(picture)]) == 0
    table = capsys.readouterr().out
    assert table.split()[:2] == ["latent", "pixels"]
    assert (tmp_path / "both.txt").read_text() == table.rpartition("\n->")[0]
    with Image.open(picture) as drawn:
        assert min(drawn.size) > 300
    assert "must be an existing file" in refused("compare", tmp_path / "none.json", "--out", picture)
    (tmp_path / "other.json").write_text("{}")
    assert "`evaluation` must be a JSON file" in refused("compare", tmp_path / "other.json", "--out", picture)


def test_wrong_questions(folder, tmp_path, refused):
    out = tmp_path / "m.json"
    for data, options, words in (
        (folder / "nowhere", (), "existing"),
        (folder, ("--target", "blue"), "must be one of dark, medium, red"),
        (folder, ("--limit", "0"), "`limit` must be at least 1"),
        (folder, ("--count", "0"), "`count` must be at least 1"),
        (folder, ("--split", "test"), "split"),
        (folder, ("--features", "vgg"), "`features` must be one of"),
        (folder, ("--method", "latant"), "nearest valid is 'latent'"),
        (folder, ("--method", "pixels", "--option", "step=3"), "nearest valid is 'steps'"),
        (folder, ("--method", "pixels", "--option", "steps=few"), "`steps` must be int"),
        (folder, ("--method", "pixels", "--option", "steps"), "`option` must be NAME=VALUE"),
        ("synthetic", (), "`bundle` must know the classes healthy and diseased"),
        (folder, ("--bundle", "none"), "must be one of paint"),
        (folder / "red", ("--target", "red"), "for all data"),
    ):
        bundle = () if "--bundle" in options else ("--bundle", "paint")
        assert words in refused("evaluate", data, *options, *bundle, "--out", out)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]
    assert "JSON file" in refused("evaluate", folder, "--bundle", "paint", "--out", tmp_path)
