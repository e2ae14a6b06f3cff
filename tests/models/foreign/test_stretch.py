import io
import pickle
import zipfile

import pytest
import torch

from histoxplain.models.foreign import nvidia
from histoxplain.models.foreign.pickles import read_pickle
from histoxplain.models.foreign.reading import TABLE
from histoxplain.models.foreign.stretch import Stretch
from histoxplain.models.foreign.tensors import read_stream


class Counted(io.BytesIO):
    """Counts the bytes that are read."""

    taken = 0

    def read(self, size=-1):
        data = super().read(size)
        self.taken += len(data)
        return data

    def readline(self, size=-1):
        data = super().readline(size)
        self.taken += len(data)
        return data

    def readinto(self, buffer):
        count = super().readinto(buffer)
        self.taken += count
        return count


def test_stretches_keep_their_own_places():
    file = io.BytesIO(b"0123456789")
    whole, tail = Stretch(file, 0, 10), Stretch(file, 6, 3)
    assert (whole.read(2), tail.read(2), whole.read(2), tail.read()) == (b"01", b"67", b"23", b"8")
    piece = whole.cut(3)
    assert (len(piece), piece.read(99), whole.read()) == (3, b"456", b"789")
    assert (whole.seek(-2, 2), whole.read(1), whole.seek(1, 1), whole.read(1)) == (8, b"8", 10, b"")
    with pytest.raises(OSError, match="before the beginning"):
        whole.seek(-11, 2)


def test_nothing_beyond_the_end():
    file = io.BytesIO(b"0123456789")
    stretch, buffer = Stretch(file, 2, 4), bytearray(8)
    assert (len(stretch.cut(10**18)), stretch.cut(5).read(), stretch.readline()) == (4, b"", b"")
    assert stretch.fill(1, memoryview(buffer)) == 3
    assert bytes(buffer) == b"345" + bytes(5)
    assert stretch.fill(9, memoryview(buffer)) == 0


def test_an_archive_within_a_file():
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a", b"x" * 100_000)
    data = inner.getvalue()
    with zipfile.ZipFile(Stretch(io.BytesIO(b"before" + data + b"behind"), 6, len(data))) as archive:
        assert archive.read("a") == b"x" * 100_000


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_long_bytes_stay_in_the_file(protocol):
    """Bytes come as stretches, at the right place; a long text comes as text."""
    contents = {"short": b"abc", "long": b"y" * 500_000, "text": "z" * 50_000}
    file = Counted(pickle.dumps(contents, protocol))
    found = read_pickle(Stretch(file, 0, len(file.getvalue())), {})
    assert (found["short"], found["text"]) == (b"abc", "z" * 50_000)
    assert found["long"].read() == b"y" * 500_000
    assert file.taken < 52_000 + 500_000


def test_only_the_tensors_asked_for_are_read(make_generator, make_discriminator, write_pickle):
    G, D = make_generator(), make_discriminator(channel_max=64, channel_base=1024)
    file = Counted(write_pickle({"G_ema": G, "D": D}).read_bytes())
    size = len(file.getvalue())
    contents = read_stream(Stretch(file, 0, size), TABLE)
    described = file.taken
    assert described < 0.25 * size
    stored = nvidia.parts(contents)["D"].tensors["b4.fc.weight"]
    assert torch.equal(stored.load(), D.b4.fc.weight)
    assert file.taken == described + stored.nbytes


def test_a_view_reads_no_more_than_it_shows(tmp_path):
    big = torch.arange(1_000_000.0)
    views = {"part": big[10:16].view(2, 3).T, "again": big[20:21].expand(4)}
    torch.save(views, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    file = Counted((tmp_path / "old.pt").read_bytes())
    found = read_stream(Stretch(file, 0, len(file.getvalue())), TABLE)
    assert found["part"].load().tolist() == [[10, 13], [11, 14], [12, 15]]
    assert found["again"].load().tolist() == [20, 20, 20, 20]
    assert file.taken < 5_000
