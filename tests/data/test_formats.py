"""Every format that is written comes back as it was, and is read in place by many processes."""

import gc
import json
import multiprocessing
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from histoxplain import InputError
from histoxplain.data import ImageLMDB, open_source, prepare
from histoxplain.data.formats import WRITERS, check_destination, choose_format
from histoxplain.data.groups import groups_from_name
from histoxplain.data.handle import Handle

NAMES = {"lmdb": "a.lmdb", "zip": "a.zip", "npz": "a.npz", "rosinality": "folder", "histoxplaining": "other"}
SPLITS = ["train", "validation", "test"]


def run(source, destination, resolution=16, **options):
    return prepare(source, destination, resolution, progress=False, **options)


@pytest.fixture
def prepared(folder, tmp_path):
    """Two classes, three groups each, split by group."""
    run(folder, tmp_path / "original.lmdb", group_of=groups_from_name(r"\w+(?=_)"), fractions=(1, 1, 1))
    return tmp_path / "original.lmdb"


@pytest.fixture(params=WRITERS)
def stored(request, prepared, tmp_path):
    run(prepared, tmp_path / NAMES[request.param], format=request.param)
    return tmp_path / NAMES[request.param]


def facts(source):
    """What is known of every case, whatever their order."""
    columns = (source.ids, source.labels.tolist(), source.groups, source.splits)
    return sorted(zip(*columns)), source.class_names, source.resolution, source.channels


def pixels(source):
    return dict(zip(source.ids, source.pixels().numpy().tolist()))


@pytest.mark.parametrize("second", WRITERS)
def test_round_trip_through_every_pair_of_formats(prepared, stored, second, tmp_path):
    run(stored, tmp_path / "second" / NAMES[second], format=second)
    run(tmp_path / "second" / NAMES[second], tmp_path / "last.lmdb")
    first, last = ImageLMDB(prepared), ImageLMDB(tmp_path / "last.lmdb")
    assert facts(last) == facts(first)
    assert set(first.splits) == set(SPLITS)
    assert pixels(last) == pixels(first)


def test_read_in_place(prepared, stored):
    source, original = open_source(stored), ImageLMDB(prepared)
    assert facts(source) == facts(original)
    assert pixels(source) == pixels(original)
    assert torch.equal(source[3].image, source.pixels([3])[0] / 127.5 - 1)
    assert (source[3].id, source[3].label) == (source.ids[3], source.labels[3])
    parts = [open_source(stored, split) for split in SPLITS]
    assert sorted(id for part in parts for id in part.ids) == sorted(source.ids)
    assert pixels(parts[1]).items() <= pixels(source).items()


def open_files():
    return sorted(str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink())


def count_open(source, path, queue):
    for _ in range(3):
        total = source.pixels().sum().item()
    here = open_files() if Path("/proc/self/fd").exists() else []
    queue.put((total, sum(str(path) in file for file in here)))


@pytest.mark.skipif(os.name != "posix", reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_processes_open_it_once_for_themselves(stored):
    source = open_source(stored)
    expected = source.pixels().sum().item()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    children = [context.Process(target=count_open, args=(source, stored, queue)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(timeout=100)
        assert child.exitcode == 0
        total, files = queue.get()
        assert total == expected
        assert files <= 1
    assert source.pixels().sum().item() == expected


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*worker processes in total:UserWarning")
def test_many_workers_read_the_same(stored):
    source = open_source(stored)
    loader = DataLoader(source, batch_size=1, num_workers=4, collate_fn=lambda cases: cases[0].image, shuffle=False)
    for _ in range(2):
        assert all(torch.equal(image, source[i].image) for i, image in enumerate(loader))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux lists them")
def test_closes_its_file(stored):
    gc.collect()
    before, shared = open_files(), len(Handle._shared)
    with open_source(stored) as source:
        copy = pickle.loads(pickle.dumps(source))
        assert torch.equal(copy.pixels(), source.pixels())
        assert len(open_files()) == len(before) + 1
    del copy
    gc.collect()
    assert (open_files(), len(Handle._shared)) == (before, shared)
    with pytest.raises(InputError, match="closed"):
        source.pixels([0])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("kind", WRITERS)
def test_interruption_leaves_the_old_file_and_nothing_else(prepared, tmp_path, monkeypatch, kind, error):
    def everything():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}, sorted(tmp_path.rglob("*"))

    def fail(*_):
        raise error

    monkeypatch.setattr("histoxplain.data.preparation.write_report", fail)
    before = everything()
    with pytest.raises(type(error)):
        run(prepared, tmp_path / NAMES[kind], format=kind)
    assert everything() == before
    monkeypatch.undo()
    run(prepared, tmp_path / NAMES[kind], format=kind)
    before = everything()
    monkeypatch.setattr("histoxplain.data.preparation.write_report", fail)
    with pytest.raises(type(error)):
        run(prepared, tmp_path / NAMES[kind], 32, format=kind, overwrite=True)
    assert everything() == before


def test_only_the_same_format_is_replaced(stored, tmp_path):
    kind = next(kind for kind, name in NAMES.items() if name == stored.name)
    with pytest.raises(InputError, match="--overwrite"):
        check_destination(stored, False, kind)
    assert check_destination(stored, True, kind) == stored
    other = "npz" if kind == "zip" else "zip"
    with pytest.raises(InputError, match=r"something else|must be a file"):
        check_destination(stored, True, other)


def test_a_new_split_is_made_on_request(stored, tmp_path):
    report = run(stored, tmp_path / "new.lmdb", fractions=(1, 0, 0))
    assert report.fractions == (1, 0, 0)
    assert set(open_source(tmp_path / "new.lmdb").splits) == {"train"}


def test_unknown_labels_stay_unknown(tmp_path, make_picture):
    (tmp_path / "source").mkdir()
    for i in range(4):
        make_picture(i).save(tmp_path / "source" / f"{i}.png")
    for kind in ("zip", "npz", "rosinality"):
        run(tmp_path / "source", tmp_path / NAMES[kind], format=kind)
        assert open_source(tmp_path / NAMES[kind]).labels.tolist() == [-1] * 4
    with pytest.raises(InputError, match="label for every image"):
        run(tmp_path / "source", tmp_path / "other", format="histoxplaining")
    assert not (tmp_path / "other").exists()


VECTORS = {"findings": [[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]], "classes": [[0, 1], [1, 0], [1, 0], [0, 1]]}


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("kind", WRITERS)
def test_vectors_survive(tmp_path, make_picture, kind, name):
    source = tmp_path / "source"
    source.mkdir()
    for i in range(4):
        make_picture(i, (16, 16)).save(source / f"{i}.png")
    labels = [[f"{i}.png", vector] for i, vector in enumerate(VECTORS[name])]
    (source / "dataset.json").write_text(json.dumps({"labels": labels}))
    report = run(source, tmp_path / NAMES[kind], format=kind, fractions=(1, 0, 0))
    assert sum(sum(splits.values()) for splits in report.classes.values()) == sum(map(sum, VECTORS[name]))
    back = open_source(tmp_path / NAMES[kind])
    assert back.vectors.tolist() == VECTORS[name]
    assert back[0].meta["vector"] == tuple(VECTORS[name][0])
    assert back.labels.tolist() == ([-1] * 4 if name == "findings" else [1, 0, 0, 1])
    run(tmp_path / NAMES[kind], tmp_path / "last.lmdb")
    assert open_source(tmp_path / "last.lmdb").vectors.tolist() == VECTORS[name]


def test_endings_choose_the_format():
    assert [choose_format(Path(name), None) for name in ("a.zip", "a.NPZ", "a.lmdb", "a")] == [
        "zip",
        "npz",
        "lmdb",
        "lmdb",
    ]
    with pytest.raises(InputError, match="nearest valid is 'rosinality'"):
        choose_format(Path("a"), "rosinalty")


def test_sizes(prepared, tmp_path):
    assert run(prepared, tmp_path / "a.npz", 28).resolution == 28
    assert open_source(tmp_path / "a.npz").pixels().shape == (12, 3, 28, 28)
    for name in ("a.zip", "a.lmdb"):
        with pytest.raises(InputError, match="power of two"):
            run(prepared, tmp_path / name, 28)


def test_grey_stays_grey(tmp_path, make_picture):
    (tmp_path / "source" / "a").mkdir(parents=True)
    make_picture(0, (16, 16), "L").save(tmp_path / "source" / "a" / "a.png")
    expected = np.array(Image.open(tmp_path / "source" / "a" / "a.png"))
    for kind in WRITERS:
        run(tmp_path / "source", tmp_path / NAMES[kind], format=kind, overwrite=True)
        run(tmp_path / NAMES[kind], tmp_path / f"{kind}.last.lmdb")
        assert np.array_equal(open_source(tmp_path / f"{kind}.last.lmdb").pixels()[0, 0].numpy(), expected)
        assert open_source(tmp_path / f"{kind}.last.lmdb").channels == 1
    with pytest.raises(InputError, match="`channels`"):
        run(tmp_path / "source", tmp_path / "x", format="rosinality", channels=1)
