import errno
import gc
import multiprocessing
import pickle

import lmdb
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from histoxplain import InputError
from histoxplain.data import LMDBWriter, open_source, prepare
from histoxplain.data.handle import Handle
from histoxplain.data.lmdb import ImageLMDB


@pytest.fixture
def prepared(folder, tmp_path):
    prepare(folder, tmp_path / "a.lmdb", 8, progress=False)
    return tmp_path / "a.lmdb"


def test_pixels_and_cases_agree_with_the_stored_png(prepared):
    source = open_source(prepared)
    pixels = source.pixels()
    assert pixels.shape == (12, 3, 8, 8)
    assert pixels.dtype == torch.uint8
    assert torch.equal(source.pixels([7, 3]), pixels[[7, 3]])
    assert torch.equal(source[7].image, pixels[7] / 127.5 - 1)
    assert source[7].label == source.labels[7]
    assert source.pixels([]).shape == (0, 3, 8, 8)


def test_splits_share_one_file(prepared):
    everything = open_source(prepared)
    parts = [open_source(prepared, split) for split in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(everything)
    assert sorted(id for part in parts for id in part.ids) == sorted(everything.ids)
    for part in parts:
        place = everything.ids.index(part.ids[0])
        assert torch.equal(part.pixels()[0], everything.pixels([place])[0])


def read_in_child(source, queue):
    queue.put(source.pixels().sum().item())


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_other_processes_read_it(prepared, method):
    source = open_source(prepared)
    expected = source.pixels().sum().item()
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    child = context.Process(target=read_in_child, args=(source, queue))
    child.start()
    child.join(timeout=100)
    assert child.exitcode == 0
    assert queue.get() == expected
    assert source.pixels().sum().item() == expected


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_data_loader_workers_open_it_for_themselves(prepared):
    source = open_source(prepared)
    loader = DataLoader(source, batch_size=4, num_workers=2, collate_fn=lambda cases: [case.id for case in cases])
    assert [id for batch in loader for id in batch] == source.ids


def test_handle_is_closed_with_its_last_reader(prepared):
    gc.collect()
    before = len(Handle._shared)
    first, second = open_source(prepared), open_source(prepared, "train")
    assert len(Handle._shared) == before + 1
    first.close()
    assert second.pixels().numel()
    with pytest.raises(InputError, match="closed"):
        first.pixels()
    del second
    gc.collect()
    assert len(Handle._shared) == before


def test_pickles(prepared):
    source = open_source(prepared, "train")
    assert torch.equal(pickle.loads(pickle.dumps(source)).pixels(), source.pixels())


def test_replaced_file_is_read_anew(prepared, folder):
    old = open_source(prepared)
    prepare(folder, prepared, 16, overwrite=True, progress=False)
    assert open_source(prepared).resolution == 16
    assert old.pixels().shape[-1] == 8


def cut(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def scribble(path):
    path.write_bytes(b"not an LMDB" * 1000)


def forget(path):
    with lmdb.open(str(path), subdir=False, lock=False) as file, file.begin(write=True) as transaction:
        transaction.delete(b"case-00000003")


def age(path):
    with lmdb.open(str(path), subdir=False, lock=False) as file, file.begin(write=True) as transaction:
        transaction.put(b"meta", b'{"format": "older"}')


@pytest.mark.parametrize("damage", [cut, scribble, forget, age])
def test_damaged_files_are_refused(prepared, damage):
    damage(prepared)
    with pytest.raises(InputError, match="again"):
        ImageLMDB(prepared)


def test_unknown_or_empty_split(prepared):
    with pytest.raises(InputError, match="nearest valid is 'train'"):
        open_source(prepared, "trian")


def test_writer_grows_and_is_atomic(tmp_path):
    path = tmp_path / "big.lmdb"
    with LMDBWriter(path) as writer:
        writer._environment.set_mapsize(1 << 20)
        for i in range(30):
            writer.put(b"%d" % i, bytes(100_000))
        assert not path.exists()
    with lmdb.open(str(path), subdir=False, lock=False, readonly=True) as file, file.begin() as transaction:
        assert transaction.stat()["entries"] == 30


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_writer_leaves_nothing_behind(tmp_path, error):
    def write():
        with LMDBWriter(tmp_path / "a.lmdb") as writer:
            writer.put(b"a", b"b")
            raise error

    with pytest.raises(error):
        write()
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_called_so(tmp_path):
    def full(*_, **__):
        raise lmdb.Error("mdb_txn_commit: No space left on device")

    class Full:
        begin, close = full, staticmethod(lambda: None)

    def write():
        with LMDBWriter(tmp_path / "a.lmdb") as writer:
            writer._environment.close()
            writer._environment = Full()
            writer.put(b"a", b"b")

    with pytest.raises(OSError, match="No space left") as error:
        write()
    assert error.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_images_are_png(prepared):
    with lmdb.open(str(prepared), subdir=False, lock=False, readonly=True) as file, file.begin() as transaction:
        assert transaction.get(b"image-00000000").startswith(b"\x89PNG")
    assert isinstance(open_source(prepared).picture(0), Image.Image)
