"""The layout of CUB-200, on a small folder made like it."""

import shutil

import numpy as np
import pytest
from PIL import Image

from histoxplain import InputError, cli
from histoxplain.data import open_source, prepare
from histoxplain.data.boxes import square_around

LISTS = {
    "images.txt": "1 001.Duck/b.png\n2 001.Duck/a.png\n3 002.Gull/c.png\n4 002.Gull/d.png\n",
    "image_class_labels.txt": "1 1\n2 1\n3 2\n4 2\n",
    "classes.txt": "1 001.Duck\n2 002.Gull\n",
    "train_test_split.txt": "1 1\n2 0\n3 0\n4 1\n",
    "bounding_boxes.txt": "1 8.0 0.0 16.0 10.0\n2 30.0 20.0 16.0 16.0\n3 0.0 0.0 64.0 48.0\n4 1.0 2.0 3.0 16.0\n",
}


@pytest.fixture
def birds(tmp_path):
    """Four pictures of 64 x 48 pixels whose red says the column, whose green says the row."""
    root = tmp_path / "CUB_200_2011"
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(64)[None], np.arange(48)[:, None]
    for line in LISTS["images.txt"].splitlines():
        file = root / "images" / line.split()[1]
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    for name, text in LISTS.items():
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize("form", ["folder", "zip", "wrapped"])
def test_lists_say_class_and_split(birds, tmp_path, form):
    source = {"folder": birds, "wrapped": tmp_path}.get(form)
    if source is None:
        source = shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path, "CUB_200_2011")
    report = prepare(source, tmp_path.with_suffix(".lmdb"), 16, progress=False)
    found = open_source(tmp_path.with_suffix(".lmdb"))
    assert found.class_names == ("001.Duck", "002.Gull")
    assert found.ids == ["001.Duck/a.png", "001.Duck/b.png", "002.Gull/c.png", "002.Gull/d.png"]
    assert found.labels.tolist() == [0, 0, 1, 1]
    assert found.splits == ["test", "train", "test", "train"]
    assert report.skipped == []


def test_classes_are_those_of_the_lists_and_not_of_the_folders(birds, tmp_path):
    (birds / "image_class_labels.txt").write_text("1 2\n2 1\n3 2\n4 2\n")
    prepare(birds, tmp_path / "a.lmdb", 16, progress=False)
    assert open_source(tmp_path / "a.lmdb").labels.tolist() == [0, 1, 1, 1]


def test_boxes_are_cropped_to(birds, tmp_path):
    prepare(birds, tmp_path / "a.lmdb", 16, boxes=True, progress=False)
    found = open_source(tmp_path / "a.lmdb")
    first = (found[0].image * 127.5 + 127.5).round()  # a.png: columns 30 to 45, rows 20 to 35, at their own size
    assert first[0].unique().tolist() == list(range(30, 46))
    assert first[1].unique().tolist() == list(range(20, 36))
    second = (found[1].image * 127.5 + 127.5).round()  # b.png: the square around the box would begin above the picture
    assert (second[0].min(), second[0].max(), second[1].min(), second[1].max()) == (8, 23, 0, 15)


def test_squares_hold_their_boxes():
    rng = np.random.default_rng(0)
    for _ in range(200):
        size = tuple(int(n) for n in rng.integers(20, 100, 2))
        x, y = rng.uniform(0, size[0] - 2), rng.uniform(0, size[1] - 2)
        box = (x, y, rng.uniform(1, size[0] - x), rng.uniform(1, size[1] - y))
        left, top, right, bottom = square_around(box, size)
        assert right - left == bottom - top
        assert left >= 0
        assert top >= 0
        assert right <= size[0]
        assert bottom <= size[1]
        if max(box[2:]) < min(size) - 1:  # up to rounding of the four edges
            assert left <= x + 1
            assert top <= y + 1
            assert right >= x + box[2] - 1
            assert bottom >= y + box[3] - 1


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("image_class_labels.txt", None, "hold image_class_labels.txt beside images.txt"),
        ("classes.txt", None, "hold classes.txt beside images.txt"),
        ("image_class_labels.txt", "1 1\n2 1\n4 2\n", "`image_class_labels.txt` must list image 3, got no line for it"),
        ("image_class_labels.txt", "1 1\n2 1\n3 7\n4 2\n", "give image 3 a class that classes.txt names, got '7'"),
        ("image_class_labels.txt", "1 1\n2\n3 7\n4 2\n", "give every number something, got '2' in line 2"),
        ("images.txt", "1 001.Duck/b.png\n1 001.Duck/a.png\n", "give every number one line, got 1 again in line 2"),
        ("train_test_split.txt", "1 1\n2 0\n3 0\n", "`train_test_split.txt` must list image 4"),
        ("train_test_split.txt", "1 1\n2 0\n3 0\n4 5\n", r"say 1 \(train\) or 0 \(test\), got '5' for image 4"),
        ("bounding_boxes.txt", "1 0 0 9 9\n2 0 0 9 9\n3 0 0 9\n4 0 0 9 9\n", "got '0 0 9' for image 3"),
        ("bounding_boxes.txt", "1 0 0 9 9\n2 0 0 0 9\n3 0 0 9 9\n4 0 0 9 9\n", "got '0 0 0 9' for image 2"),
    ],
)
def test_lists_that_do_not_say_enough(birds, tmp_path, name, text, said):
    (birds / name).unlink()
    if text is not None:
        (birds / name).write_text(text)
    with pytest.raises(InputError, match=said):
        prepare(birds, tmp_path / "a.lmdb", 16, progress=False)
    assert not list(tmp_path.glob("a.lmdb*"))


def test_what_is_missing_is_named(birds, tmp_path):
    (birds / "images/001.Duck/a.png").rename(birds / "images/001.Duck/new.png")
    (birds / "train_test_split.txt").unlink()
    report = prepare(birds, tmp_path / "a.lmdb", 16, progress=False)
    assert {entry.file: entry.reason for entry in report.skipped} == {
        "images/001.Duck/a.png": "listed in images.txt, but not there",
        "images/001.Duck/new.png": "has no line in images.txt",
    }
    assert report.fractions  # no split was published, so one was made


def test_boxes_of_data_that_has_none(birds, tmp_path, capsys):
    (birds / "bounding_boxes.txt").unlink()
    assert cli.main(["prepare", str(birds), str(tmp_path / "a.lmdb"), "--resolution", "16", "--boxes"]) == 2
    assert "where the data has a bounding_boxes.txt" in capsys.readouterr().err
    prepare(birds, tmp_path / "a.lmdb", 16, progress=False)
    with pytest.raises(InputError, match=r"bounding_boxes\.txt"):
        prepare(tmp_path / "a.lmdb", tmp_path / "b.lmdb", 16, boxes=True, progress=False)
