import json

import pytest
from PIL import Image

from histoxplain.cli import main
from histoxplain.explain import Explainer, Explanation

pytestmark = pytest.mark.usefixtures("paint")


def explain(*arguments):
    return main(["explain", *map(str, arguments), "--bundle", "paint", "--film", "3"])


def test_writes_the_contract(png, tmp_path, capsys):
    a, b = png("slide-1/tile", 230), png("slide-2/tile", 20)
    out = tmp_path / "out"
    assert explain(a, b, "--target", "medium", "--count", 2, "--out", out) == 0
    printed = capsys.readouterr().out
    assert f"2 of 2 images changed the classifier's mind -> {out / 'report.html'}" in printed
    assert "tile-2: Do not trust this explanation: the image is of a single colour and shows nothing." in printed
    assert sorted(p.name for p in out.iterdir()) == ["report.html", "tile", "tile-2"]
    content = json.loads((out / "tile" / "explanation.json").read_text())
    assert (content["case_id"], content["source_class"], content["target_class"]) == ("tile", "red", "medium")
    assert all(entry["valid"] for entry in content["counterfactuals"])
    for entry in content["counterfactuals"]:
        assert (out / "tile" / entry["file"]).exists()
        assert (out / "tile" / entry["change_file"]).exists()
    page = (out / "report.html").read_text()
    assert page.count("<section") == 2
    again = "histoxplain explain tile.png tile.png --bundle paint --target medium --count 2 --method latent"
    assert f"<code>{again} --out out --film 3 --seed 0</code>" in page
    assert str(tmp_path) not in page
    assert len(Explanation.load(out / "tile-2")) == 2
    assert content["reliability"]["trusted"] == [False, False]
    assert len(content["measurements"]) == 2


def test_folders_and_generated_images(png, tmp_path):
    folder = png("case/x", 230).parent
    out = tmp_path / "out"
    assert explain(folder, "--generated", 1, "--count", 1, "--out", out) == 0
    names = sorted(p.name for p in out.iterdir() if p.is_dir())
    assert names[-1] == "x"
    assert [name.partition("-")[0] for name in names[:-1]] == ["generated"] * 6
    pairs = {name.split("-", 2)[2] for name in names[:-1]}
    assert pairs == {f"{a}-to-{b}" for a in ("dark", "medium", "red") for b in ("dark", "medium", "red") if a != b}


def test_goes_on_where_it_stopped(png, tmp_path, monkeypatch):
    files = [png(f"{i}", 200 + 10 * i) for i in range(3)]
    out, record, kept = tmp_path / "out", Explainer.record, []

    def interrupted(self, *args):
        if len(kept) == 2:
            raise KeyboardInterrupt
        kept.append(args)
        return record(self, *args)

    monkeypatch.setattr(Explainer, "record", interrupted)
    arguments = [*files, "--count", 1, "--batch-size", 1, "--out", out]
    assert explain(*arguments) == 130
    assert sorted(p.name for p in out.iterdir()) == ["0", "1"]
    monkeypatch.setattr(Explainer, "record", lambda self, *args: kept.append(args) or record(self, *args))
    assert explain(*arguments) == 0
    assert len(kept) == 3
    assert explain(*arguments) == 0
    assert len(kept) == 3
    assert explain(*arguments, "--seed", 1) == 0
    assert len(kept) == 6


def test_wrong_images(png, tmp_path, refused):
    out = tmp_path / "out"
    good = png("good", 230)
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "cut.jpg").write_bytes(good.read_bytes()[:60])
    (tmp_path / "empty").mkdir()
    for path, words in {
        tmp_path / "gooood.png": "did you mean",
        tmp_path / "text.png": "must be a readable image",
        tmp_path / "cut.jpg": "must be a readable image",
        tmp_path / "empty": "folder of images",
        png("small", 230, (9, 9)): "9 x 9",
        png("wide", 230, (32, 16)): "32 x 16",
        png("grey", 230, mode="L"): "mode L",
    }.items():
        line = refused("explain", good, path, "--bundle", "paint", "--out", out)
        assert words in line
        assert not out.exists()


def test_wrong_questions(png, tmp_path, refused):
    out, good = tmp_path / "out", png("good", 230)
    for options, words in {
        ("--target", "red"): "another class than the classifier's own, got 'red', its opinion of " + str(good),
        ("--target", "rde"): "nearest valid is 'red'",
        ("--count", "0"): "`count` must be at least 1, got 0",
        ("--threshold", "2"): "`threshold` must lie in [0.0, 1.0]",
        ("--batch-size", "0"): "`batch_size` must be at least 1",
        ("--generated", "-1"): "`generated` must be at least 0",
        ("--bundle", "pant"): "nearest valid is 'paint'",
    }.items():
        bundle = () if "--bundle" in options else ("--bundle", "paint")
        assert words in refused("explain", good, *options, *bundle, "--out", out)
        assert not out.exists()
    assert "at least one image" in refused("explain", "--bundle", "paint", "--out", out)
    assert "`out` must be a folder" in refused("explain", good, "--bundle", "paint", "--out", good)


def test_masks_criteria_and_options_reach_the_search(png, tmp_path):
    half = Image.new("L", (16, 16), 0)
    half.paste(255, (0, 0, 12, 16))
    half.save(tmp_path / "mask.png")
    out = tmp_path / "out"
    arguments = ["--mask", tmp_path / "mask.png", "--criterion", "latent", "--option", "selection=determinant"]
    assert explain(png("tile", 130), "--target", "red", "--count", 2, *arguments, "--out", out) == 0
    e = Explanation.load(out / "tile")
    assert e.counterfactuals[..., 12:].equal(e.original[..., 12:].expand_as(e.counterfactuals[..., 12:]))
    assert not e.counterfactuals[..., :12].equal(e.original[..., :12].expand_as(e.counterfactuals[..., :12]))
    assert e.settings["criterion"] == "latent"
    assert e.settings["mask"] == 0.75


def test_another_mask_is_another_question(png, tmp_path):
    for side in (12, 14):
        mask = Image.new("L", (16, 16), 0)
        mask.paste(255, (0, 0, side, 16))
        mask.save(tmp_path / "mask.png")
        out = tmp_path / "out"
        assert explain(png("tile", 130), "--count", 1, "--mask", tmp_path / "mask.png", "--out", out) == 0
        assert Explanation.load(out / "tile").settings["mask"] == side / 16


def test_masks_and_locks_that_cannot_be(png, tmp_path, refused):
    tile, black = png("tile", 130), png("black", 0, (16, 16), "L")
    arguments = ["explain", tile, "--bundle", "paint", "--out", tmp_path / "out"]
    wrong = {
        ("--mask", black): "`mask` must allow something to change, got zero everywhere",
        ("--mask", png("small", 255, (8, 8), "L")): "`mask` must be 16 x 16 numbers",
        ("--mask", tmp_path / "none.png"): "`mask` must be an existing file",
        ("--lock", "fine"): "`lock` must be empty for a generator without styles, got fine",
        ("--method", "pixels", "--mask", black): "`mask` must be left out with the method pixels",
        ("--method", "magic"): "`method` must be one of latent, style, directions",
        ("--method", "style"): "`bundle` must have a generator with StyleSpace",
    }
    for given, words in wrong.items():
        assert words in refused(*arguments, *given), given


def test_other_sizes_when_asked(png, tmp_path):
    wide = png("wide", 230, (40, 20))
    assert explain(wide, "--fit", "--count", 1, "--out", tmp_path / "out") == 0


def test_does_not_overwrite_what_is_not_ours(png, tmp_path, refused):
    good, mine = png("good", 230), tmp_path / "out" / "good"
    mine.mkdir(parents=True)
    (mine / "notes.txt").write_text("mine")
    assert "hold an explanation" in refused("explain", good, "--bundle", "paint", "--count", 1, "--out", mine.parent)
    assert [p.name for p in mine.iterdir()] == ["notes.txt"]
