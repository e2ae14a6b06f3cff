import io

import lmdb
import numpy as np
import pytest
from PIL import Image

from histoxplain import InputError
from histoxplain.data import RosinalityLMDB, open_source, prepare


def write(path, make_picture, labels=None, sizes=(16,), keys=None, count=3, **extra):
    """What the programs of the family write: JPEG of quality 100."""
    with lmdb.open(str(path), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        for key, side in zip(keys or sizes, sizes):
            for i in range(count):
                buffer = io.BytesIO()
                make_picture(i, (side, side)).save(buffer, "JPEG", quality=100)
                transaction.put(f"{key}-{str(i).zfill(5)}".encode(), buffer.getvalue())
                if labels:
                    transaction.put(f"{key}-{str(i).zfill(5)}-label".encode(), np.array(labels[i]).astype(np.uint8))
        for key, value in {"length": str(count).encode(), **extra}.items():
            transaction.put(key.encode(), value)
    return path


def decoded(make_picture, i, side):
    buffer = io.BytesIO()
    make_picture(i, (side, side)).save(buffer, "JPEG", quality=100)
    return np.array(Image.open(buffer)).transpose(2, 0, 1)


def test_plain_rosinality_has_no_labels(tmp_path, make_picture):
    source = open_source(write(tmp_path / "data", make_picture))
    assert (len(source), source.resolution, source.labels.tolist()) == (3, 16, [-1, -1, -1])
    for i in range(3):
        assert np.array_equal(source.pixels([i])[0].numpy(), decoded(make_picture, i, 16))


def test_histoxplaining_says_256_whatever_the_size(tmp_path, make_picture):
    source = open_source(write(tmp_path / "data", make_picture, [1, 0, 1], keys=(256,)))
    assert (source.resolution, source.size, source.labels.tolist()) == (16, 256, [1, 0, 1])
    assert source.class_names == ("0", "1")


def test_chexplaining_has_one_byte_for_each_finding(tmp_path, make_picture):
    labels = np.random.default_rng(0).integers(0, 2, (3, 14))
    source = open_source(write(tmp_path / "data", make_picture, labels.tolist(), keys=(256,)))
    assert source.vectors.tolist() == labels.tolist()


def test_largest_of_several_sizes(tmp_path, make_picture):
    path = write(tmp_path / "data", make_picture, sizes=(8, 32, 16))
    assert open_source(path).resolution == 32
    assert RosinalityLMDB(path, size=8).resolution == 8


def test_damage(tmp_path, make_picture):
    path = write(tmp_path / "length", make_picture, length=b"4")
    with pytest.raises(InputError, match="complete"):
        open_source(path).pixels()
    with pytest.raises(InputError, match="length"):
        RosinalityLMDB(write(tmp_path / "none", make_picture, length=b"many"))
    with pytest.raises(InputError, match="damaged"):
        open_source(write(tmp_path / "odd", make_picture, **{"16-00000": b"no image"}))
    with pytest.raises(InputError, match="256-00000"):
        RosinalityLMDB(write(tmp_path / "keys", make_picture, count=0))


@pytest.mark.parametrize(("kind", "key"), [("rosinality", 16), ("histoxplaining", 256)])
def test_their_programs_read_what_is_written(folder, tmp_path, kind, key):
    """As `MultiResolutionDataset` of both does it."""
    prepare(folder, tmp_path / "data", 16, format=kind, progress=False)
    path = str(tmp_path / "data")
    with lmdb.open(path, max_readers=32, readonly=True, lock=False) as environment, environment.begin() as transaction:
        assert int(transaction.get(b"length").decode()) == 12
        picture = Image.open(io.BytesIO(transaction.get(f"{key}-{str(7).zfill(5)}".encode())))
        label = np.frombuffer(transaction.get(f"{key}-00007-label".encode()), dtype=np.uint8)
    assert (picture.mode, picture.size) == ("RGB", (16, 16))
    assert label.tolist() == [1]


def test_labels_that_do_not_fit(tmp_path, make_picture):
    source = tmp_path / "source"
    source.mkdir()
    make_picture(0, (16, 16)).save(source / "a.png")
    (source / "dataset.json").write_text('{"labels": [["a.png", [0.5]]]}')
    with pytest.raises(InputError, match="from 0 to 255"):
        prepare(source, tmp_path / "data", 16, format="rosinality", progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
