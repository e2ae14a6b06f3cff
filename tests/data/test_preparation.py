import json
import os
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from histoxplain import InputError
from histoxplain.data import open_source, prepare
from histoxplain.data.groups import groups_from_name

BY_SLIDE = groups_from_name(r"slide\d")


def run(source, destination, resolution=8, **options):
    return prepare(source, destination, resolution, progress=False, **options)


def test_pixels_are_pillows_lanczos(folder, tmp_path):
    run(folder, tmp_path / "a.lmdb")
    source = open_source(tmp_path / "a.lmdb")
    for id, pixels in zip(source.ids, source.pixels().permute(0, 2, 3, 1).numpy()):
        centre = np.array(Image.open(folder / id))[:, 2:22]  # of 24 x 20
        expected = Image.fromarray(centre).resize((8, 8), Image.Resampling.LANCZOS)
        assert np.array_equal(pixels, np.array(expected))


def test_split_keeps_groups_and_ignores_resolution_and_workers(folder, tmp_path):
    run(folder, tmp_path / "a.lmdb", 8, group_of=BY_SLIDE, workers=1)
    run(folder, tmp_path / "b.lmdb", 16, group_of=BY_SLIDE, workers=4)
    small, large = open_source(tmp_path / "a.lmdb"), open_source(tmp_path / "b.lmdb")
    assert (small.ids, small.splits, small.groups) == (large.ids, large.splits, large.groups)
    assert small.ids == sorted(small.ids)
    assert max(Counter(group for group, _ in set(zip(small.groups, small.splits))).values()) == 1


def test_everything_that_can_go_wrong_with_files(folder, tmp_path, make_picture):
    benign = folder / "benign"
    (benign / "text.png").write_text("no image")
    (benign / "empty.jpg").touch()
    data = (benign / "slide0_0.png").read_bytes()
    (benign / "cut.png").write_bytes(data[: len(data) // 2])
    make_picture(size=(1, 1)).save(benign / "tiny.png")
    (folder / "vacant").mkdir()
    (folder / "hopeless").mkdir()
    (folder / "hopeless" / "a.png").write_text("no image")
    make_picture().save(folder / "loose.png")
    (folder / "cases.csv").write_text("a,b\n")
    (folder / ".DS_Store").touch()
    report = run(folder, tmp_path / "a.lmdb")
    skipped = {entry.file: entry.reason for entry in report.skipped}
    assert set(skipped) == {
        *("benign/text.png", "benign/empty.jpg", "benign/cut.png", "benign/tiny.png", "hopeless/a.png"),
        *("loose.png", "cases.csv", ".DS_Store"),
    }
    assert all(skipped.values())
    assert report.count == 12
    source = open_source(tmp_path / "a.lmdb")
    assert source.class_names == ("benign", "malignant")
    assert source.labels.tolist() == [0] * 6 + [1] * 6
    assert {note.partition(" has")[0] for note in report.notes} >= {"class 'vacant'", "class 'hopeless'"}
    written = json.loads((tmp_path / "a.lmdb.report.json").read_text())
    assert written["skipped"] == [{"file": f, "reason": r} for f, r in sorted(skipped.items())]
    assert (written["filter"], written["count"]) == ("lanczos", 12)
    assert source.meta["skipped"] == 8


def test_images_without_a_group_are_left_out(folder, tmp_path):
    report = run(folder, tmp_path / "a.lmdb", group_of=groups_from_name(r"slide[01]"))
    assert report.count == 8
    assert {entry.file for entry in report.skipped} == {
        f"{c}/slide2_{i}.png" for c in ("benign", "malignant") for i in (4, 5)
    }


def test_grey_is_recognised_even_in_rgb_files(folder, tmp_path):
    for file in folder.rglob("*.png"):
        Image.open(file).convert("L").convert("RGB").save(file)
    assert run(folder, tmp_path / "a.lmdb").channels == 1
    assert open_source(tmp_path / "a.lmdb")[0].image.shape == (1, 8, 8)
    assert run(folder, tmp_path / "b.lmdb", channels=3).channels == 3
    Image.new("RGB", (9, 9), (1, 2, 3)).save(folder / "malignant" / "z.png")
    assert run(folder, tmp_path / "c.lmdb").channels == 3


def test_prepared_data_can_be_prepared_again(folder, tmp_path):
    run(folder, tmp_path / "a.lmdb", 16, group_of=BY_SLIDE)
    run(tmp_path / "a.lmdb", tmp_path / "b.lmdb", 8)
    first, second = open_source(tmp_path / "a.lmdb"), open_source(tmp_path / "b.lmdb")
    assert (first.ids, first.splits, first.class_names) == (second.ids, second.splits, second.class_names)
    assert second.resolution == 8


def test_existing_destination_needs_permission(folder, tmp_path):
    path = tmp_path / "a.lmdb"
    run(folder, path)
    with pytest.raises(InputError, match="--overwrite"):
        run(folder, path)
    assert run(folder, path, 16, overwrite=True).resolution == 16
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="something else"):
        run(folder, tmp_path / "thesis.txt", overwrite=True)
    with pytest.raises(InputError, match="folder"):
        run(folder, folder, overwrite=True)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_interruption_leaves_the_old_file_and_nothing_else(folder, tmp_path, monkeypatch, error):
    path = tmp_path / "a.lmdb"
    run(folder, path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}

    def fail(*_):
        raise error

    monkeypatch.setattr("histoxplain.data.lmdb.ImageLMDBWriter.finish", fail)
    with pytest.raises(type(error)):
        run(folder, path, 16, overwrite=True)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == before


def test_nothing_usable_writes_nothing(tmp_path):
    source = tmp_path / "source"
    (source / "benign").mkdir(parents=True)
    with pytest.raises(InputError, match="there is no image"):
        run(source, tmp_path / "a.lmdb")
    (source / "benign" / "a.png").write_text("no image")
    with pytest.raises(InputError, match="not an image in a known format"):
        run(source, tmp_path / "a.lmdb")
    assert [file.name for file in tmp_path.iterdir()] == ["source"]


def test_split_folders_are_not_classes(folder, tmp_path):
    (tmp_path / "new" / "test").mkdir(parents=True)
    shutil.move(folder, tmp_path / "new" / "train")
    report = run(tmp_path / "new", tmp_path / "a.lmdb")
    assert (list(report.classes), report.fractions) == (["benign", "malignant"], ())
    assert set(open_source(tmp_path / "a.lmdb").splits) == {"train"}
    for file in (tmp_path / "new").rglob("*.png"):
        file.rename(tmp_path / "new" / "train" / f"{file.parent.name}{file.name}")
    with pytest.raises(InputError, match="one folder per class"):
        run(tmp_path / "new", tmp_path / "b.lmdb")


@pytest.mark.parametrize(
    "options", [{"resolution": 48}, {"white": 0}, {"channels": 2}, {"fractions": (1, 1)}, {"workers": -1}]
)
def test_odd_options(folder, tmp_path, options):
    with pytest.raises(InputError):
        run(folder, tmp_path / "a.lmdb", **options)
    assert not (tmp_path / "a.lmdb").exists()


@pytest.mark.skipif(os.name != "posix", reason="file names are text here")
def test_names_that_are_not_utf_8(folder, tmp_path):
    odd = os.fsdecode(b"caf\xe9.png")
    shutil.copy(folder / "benign/slide0_0.png", folder / "benign" / odd)
    (folder / "benign" / os.fsdecode(b"br\xfcste.png")).touch()
    report = run(folder, tmp_path / "a.lmdb")
    assert report.count == 13
    assert f"benign/{odd}" in open_source(tmp_path / "a.lmdb").ids
    assert b"br\xfcste.png" in (tmp_path / "a.lmdb.report.json").read_bytes()
