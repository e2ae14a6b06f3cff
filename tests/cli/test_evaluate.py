import json
import math

import pytest
import torch

from histoxplain import metrics
from histoxplain.cli import main
from histoxplain.cli.evaluate import measure, spread
from histoxplain.explain import Explainer, Explanation, change_map

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
    assert figures == json.loads(capsys.readouterr().out)
    assert (figures["features"], figures["resize"]) == (metrics.FEATURES, "128 px, bilinear, antialiased")
    assert (figures["covariance"], figures["real_images"]) == ("divided by N", 9)
    assert figures["images"] == 6
    assert figures["flip_rate"] == 1
    assert figures["oracle_flip_rate"] >= 0.5
    assert figures["diversity"] > 0
    assert all(math.isfinite(figures[k]) for k in ("l1", "perceptual", "sparsity", "fid", "kid", "seconds_per_image"))
    assert sum(pair["images"] for pair in figures["pairs"].values()) == 6
    assert len(figures["pairs"]) == 6  # every class is asked to become each of the others
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "m.json"]


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


def test_figures_on_paper(paint):
    """Two images with two answers each: three are valid, two convince the stricter oracle, red moves by 1/2."""

    def image(red):
        x = torch.zeros(3, 16, 16)
        x[0] = red
        return x

    def explanation(reds, valid):
        x = torch.stack([image(red) for red in reds])
        return Explanation(
            method="latent",
            case_id="x",
            original=image(0.0),
            counterfactuals=x,
            class_names=paint.class_names,
            source_class=1,
            target_class=2,
            probabilities_before=torch.tensor([0.0, 1.0, 0.0]),
            probabilities_after=torch.zeros(2, 3),
            valid=torch.tensor(valid),
            change=change_map(image(0.0)[None], x),
            settings={"count": 2},
            seconds=3.0,
        )

    done = [explanation((0.5, 0.28), [True, True]), explanation((0.6, 0.02), [True, False])]
    figures = measure(done, paint)
    assert figures["flip_rate"] == 0.75
    assert figures["oracle_flip_rate"] == 0.5  # its boundary lies at 0.3
    assert figures["l1"] == pytest.approx((0.5 + 0.28 + 0.6 + 0.02) / 4 / 3)
    assert figures["sparsity"] == 0.25
    assert figures["seconds_per_image"] == 3
    assert (figures["fid"], figures["kid"]) == (None, None)
    assert figures["pairs"] == {"medium to red": {"images": 2, "valid": 2}}


def test_spread_takes_classes_in_turn():
    assert spread([1, 1, 1, 0, 2, 2], 4) == [0, 1, 3, 4]
    assert spread([0], 9) == [0]


def test_wrong_questions(folder, tmp_path, refused):
    out = tmp_path / "m.json"
    for data, options, words in (
        (folder / "nowhere", (), "existing"),
        (folder, ("--target", "blue"), "must be one of dark, medium, red"),
        (folder, ("--limit", "0"), "`limit` must be at least 1"),
        (folder, ("--count", "0"), "`count` must be at least 1"),
        (folder, ("--split", "test"), "split"),
        (folder, ("--features", "vgg"), "`features` must be one of"),
        (folder, ("--bundle", "none"), "must be one of paint"),
        (folder / "red", ("--target", "red"), "for all data"),
    ):
        bundle = () if "--bundle" in options else ("--bundle", "paint")
        assert words in refused("evaluate", data, *options, *bundle, "--out", out)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]
    assert "JSON file" in refused("evaluate", folder, "--bundle", "paint", "--out", tmp_path)
