import zipfile

import numpy as np
import pytest

from histoxplain import InputError
from histoxplain.data import ImageNPZ, open_source

RNG = np.random.default_rng(0)
COUNTS = {"train": 5, "val": 2, "test": 3}


def arrays(side=28, channels=3, labels=1, classes=2):
    shape = (side, side) if channels == 1 else (side, side, channels)
    images = {f"{part}_images": RNG.integers(0, 256, (n, *shape), dtype=np.uint8) for part, n in COUNTS.items()}
    return images | {f"{p}_labels": RNG.integers(0, classes, (n, labels), dtype=np.uint8) for p, n in COUNTS.items()}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(("side", "channels"), [(28, 3), (28, 1), (64, 3), (128, 1), (224, 3)])
def test_reads_what_numpy_reads(tmp_path, save, side, channels):
    expected = arrays(side, channels)
    save(tmp_path / "pneumoniamnist_64.npz", **expected)
    source = open_source(tmp_path / "pneumoniamnist_64.npz")
    assert (source.resolution, source.channels, source.class_names) == (side, channels, ("normal", "pneumonia"))
    images = np.concatenate([expected[f"{part}_images"] for part in COUNTS]).reshape(10, side, side, channels)
    assert np.array_equal(source.pixels().numpy().transpose(0, 2, 3, 1), images)
    assert source.labels.tolist() == np.concatenate([expected[f"{part}_labels"] for part in COUNTS])[:, 0].tolist()
    assert source.splits == ["train"] * 5 + ["validation"] * 2 + ["test"] * 3
    test = open_source(tmp_path / "pneumoniamnist_64.npz", "test")
    assert np.array_equal(test.pixels([1]).numpy()[0].transpose(1, 2, 0), images[8])
    assert test.ids == ["test/0", "test/1", "test/2"]


def test_several_findings_are_vectors(tmp_path):
    expected = arrays(labels=14)
    np.savez(tmp_path / "chestmnist.npz", **expected)
    source = open_source(tmp_path / "chestmnist.npz")
    assert source.vectors.tolist() == np.concatenate([expected[f"{part}_labels"] for part in COUNTS]).tolist()
    assert source.class_names[13] == "hernia"


def test_unknown_names_are_numbers(tmp_path):
    np.savez(tmp_path / "mine.npz", **arrays(classes=2) | {"train_labels": np.array([[0], [4], [0], [1], [2]])})
    assert open_source(tmp_path / "mine.npz").class_names == ("0", "1", "2", "3", "4")


@pytest.mark.parametrize(
    "change",
    [
        {"train_images": np.zeros((5, 28, 28, 28), np.uint8)},
        {"train_images": np.zeros((5, 28, 28, 3), np.float32)},
        {"train_images": np.zeros((5, 28, 20, 3), np.uint8)},
        {"train_images": np.zeros((5, 32, 32, 3), np.uint8)},
        {"train_images": np.asfortranarray(np.zeros((5, 28, 28, 3), np.uint8))},
        {"train_labels": np.zeros((4, 1), np.uint8)},
        {"train_labels": np.array([[object()]] * 5)},
    ],
)
def test_odd_arrays(tmp_path, change):
    np.savez(tmp_path / "a.npz", **arrays() | change)
    with pytest.raises(InputError):
        ImageNPZ(tmp_path / "a.npz")


def test_other_files(tmp_path):
    (tmp_path / "text.npz").write_text("no npz")
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        archive.writestr("train_images.npy", b"no array")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name in ("text", "odd", "other"):
        with pytest.raises(InputError):
            ImageNPZ(tmp_path / f"{name}.npz")


def test_numpy_reads_what_is_written(folder, tmp_path):
    from histoxplain.data import prepare

    prepare(folder, tmp_path / "a.npz", 28, fractions=(1, 1, 1), progress=False)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert found["train_images"].shape == (4, 28, 28, 3)
        assert (found["val_labels"].dtype, found["val_labels"].shape) == (np.uint8, (4, 1))
