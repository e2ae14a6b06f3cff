import zipfile
from threading import Lock

import numpy as np
import pytest

from histoxplain import InputError
from histoxplain.data import member
from histoxplain.data.member import ZipMember

DATA = np.random.default_rng(0).integers(0, 4, 300_000, dtype=np.uint8).tobytes()  # packs to about a quarter


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(member, "BLOCK", 10_000)
    monkeypatch.setattr(member, "CHUNK", 700)
    monkeypatch.setattr(member, "CACHE", 30_000)


@pytest.fixture(params=[zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def path(request, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", request.param) as archive:
        archive.writestr("before.txt", b"x" * 99)
        archive.writestr("data", DATA)
    return tmp_path / "a.zip"


def open_member(path, stream):
    with zipfile.ZipFile(path) as archive:
        return ZipMember(stream, archive.getinfo("data"), Lock())


@pytest.mark.usefixtures("small_blocks")
def test_reads_anywhere_in_any_order(path):
    rng = np.random.default_rng(1)
    with path.open("rb") as stream:
        found = open_member(path, stream)
        for offset in [299_990, 0, 9_995, *rng.integers(0, 290_000, 60).tolist()]:
            size = int(rng.integers(1, 9_000)) if offset < 290_000 else 10
            assert found.read(offset, size) == DATA[offset : offset + size]
        assert found.read(0, len(DATA)) == DATA
        assert len(found._blocks) <= 3
        with pytest.raises(InputError, match="ends too early"):
            found.read(len(DATA) - 1, 2)


@pytest.mark.usefixtures("small_blocks")
def test_damage_is_told(path):
    with zipfile.ZipFile(path) as archive:
        middle = archive.getinfo("data").header_offset + 20_000
        deflated = archive.getinfo("data").compress_type == zipfile.ZIP_DEFLATED
    with path.open("r+b") as stream:
        stream.seek(middle)
        stream.write(b"\xff" * 3000)
    if deflated:
        with path.open("rb") as stream, pytest.raises(InputError, match=r"intact|complete"):
            open_member(path, stream).read(0, len(DATA))


def test_other_packings_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("data", DATA)
    with (tmp_path / "a.zip").open("rb") as stream, pytest.raises(InputError, match="stored or deflated"):
        open_member(tmp_path / "a.zip", stream)
