import hashlib
import json
import zipfile

import numpy as np
import pytest

from histoxplain import InputError
from histoxplain.data import ImageZip, open_source, prepare
from histoxplain.data.lmdb import encode_png


def write(path, make_picture, labels, names=("00000/img1.png", "00000/img0.png", "00001/img2.png"), size=(16, 16)):
    with zipfile.ZipFile(path, "w") as archive:
        for i, name in enumerate(names):
            archive.writestr(name, encode_png(make_picture(i, size)))
        if labels is not ...:
            archive.writestr("dataset.json", json.dumps({"labels": labels}))
    return path


def test_images_are_sorted_and_labelled_by_name(tmp_path, make_picture):
    labels = [["00001/img2.png", 0], ["00000/img0.png", 3], ["00000\\img1.png", 1]]
    source = open_source(write(tmp_path / "a.zip", make_picture, labels))
    assert source.ids == ["00000/img0.png", "00000/img1.png", "00001/img2.png"]
    assert source.labels.tolist() == [3, 1, 0]
    assert source.class_names == ("0", "1", "2", "3")
    assert (source.resolution, source.channels) == (16, 3)
    expected = np.array(make_picture(1, (16, 16))).transpose(2, 0, 1)
    assert np.array_equal(source.pixels([0])[0].numpy(), expected)


def test_numbers_of_classes_stay_when_prepared_again(tmp_path, make_picture):
    labels = [["00001/img2.png", 0], ["00000/img0.png", 3], ["00000/img1.png", 1]]
    write(tmp_path / "a.zip", make_picture, labels)
    prepare(tmp_path / "a.zip", tmp_path / "b.zip", 16, progress=False)
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        fields = json.loads(archive.read("dataset.json"))
    assert fields["labels"] == [[f"00000/img{i:08d}.png", label] for i, label in enumerate([3, 1, 0])]


def test_null_labels(tmp_path, make_picture):
    source = open_source(write(tmp_path / "a.zip", make_picture, None))
    assert source.labels.tolist() == [-1, -1, -1]
    assert source.vectors is None


def test_vectors_of_numbers(tmp_path, make_picture):
    labels = [["00000/img0.png", [0.5, -1]], ["00000/img1.png", [1, 2.5]], ["00001/img2.png", [0, 0]]]
    source = open_source(write(tmp_path / "a.zip", make_picture, labels))
    assert source.vectors.tolist() == [[0.5, -1], [1, 2.5], [0, 0]]
    assert source[0].label is None


def test_images_without_a_label_are_named(tmp_path, make_picture):
    path = write(tmp_path / "a.zip", make_picture, [["00000/img0.png", 0]])
    report = prepare(path, tmp_path / "a.lmdb", 16, progress=False)
    assert {entry.file: entry.reason for entry in report.skipped} == {
        "00000/img1.png": "has no label in dataset.json",
        "00001/img2.png": "has no label in dataset.json",
    }


def test_folders_inside_are_classes_when_there_is_no_dataset_json(tmp_path, make_picture):
    names = ("TILES/ADI/b.png", "TILES/TUM/a.png", "__MACOSX/TILES/ADI/b.png")
    path = write(tmp_path / "a.zip", make_picture, ..., names, size=(20, 16))
    source = open_source(path)
    assert (source.ids, source.class_names) == (["ADI/b.png", "TUM/a.png"], ("ADI", "TUM"))
    assert source[1].image.shape == (3, 16, 20)
    with pytest.raises(InputError, match="prepare it first"):
        source.pixels()
    assert prepare(path, tmp_path / "a.lmdb", 16, progress=False).count == 2


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([["00000/img0.png", -1]], "whole number from 0"),
        ([["00000/img0.png", "cat"]], "whole number from 0"),
        ([["00000/img0.png", 1.5]], "whole number from 0"),
        ([["00000/img0.png", [float("nan")]]], "whole number from 0"),
        ([["00000/img0.png", 1], ["00000/img1.png", [1, 0]], ["00001/img2.png", 1]], "mixture"),
        ([["00000/img0.png", [1, 0, 0]], ["00000/img1.png", [1, 0]]], "mixture"),
        ({"00000/img0.png": 1}, "null or"),
    ],
)
def test_odd_labels(tmp_path, make_picture, labels, said):
    with pytest.raises(InputError, match=said):
        ImageZip(write(tmp_path / "a.zip", make_picture, labels))


def test_damaged_archives(tmp_path, make_picture):
    path = write(tmp_path / "a.zip", make_picture, None)
    data = path.read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError):
        open_source(tmp_path / "cut.zip")
    with pytest.raises(InputError, match="readable zip"):
        ImageZip(tmp_path / "cut.zip")
    place = data.index(b"IDAT") + 20
    (tmp_path / "flipped.zip").write_bytes(
        data[:place] + bytes(b ^ 255 for b in data[place : place + 9]) + data[place + 9 :]
    )
    report = prepare(tmp_path / "flipped.zip", tmp_path / "a.lmdb", 16, progress=False)
    assert report.count == 2
    assert any("Bad CRC-32" in entry.reason for entry in report.skipped)


def test_same_images_and_labels_as_the_reference_implementation(shared):
    rules = json.loads((shared / "fixtures/stylegan2/misc/rules.json").read_text())["datasets"]["int"]
    source = open_source(shared / "fixtures/stylegan2/dataset/ds_int.zip")
    assert np.eye(rules["label_dim"])[source.labels].tolist() == rules["labels"]
    assert [hashlib.md5(image.numpy().tobytes()).hexdigest() for image in source.pixels()] == rules["md5"]
