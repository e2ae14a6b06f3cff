"""Downloads from a server on this machine."""

import hashlib
import io
import json
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from histoxplain import InputError, cli
from histoxplain.data import Published, download, downloads, open_source, prepare
from histoxplain.data.published import CATALOGUE, find, medmnist, names

DATA = np.random.default_rng(0).integers(0, 256, 500_000, dtype=np.uint8).tobytes()


class Server(ThreadingHTTPServer):
    """Serves one file, with resuming, and hangs up whenever it is told to."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.tag, self.ranges, self.hang_up, self.status, self.resumes = DATA, '"one"', [], [], 200, True

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/file.zip"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        if server.status != 200:
            self.send_error(server.status)
            return
        same = self.headers.get("If-Range") == server.tag
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and same and server.resumes else 0
        if start > len(server.data):
            self.send_error(416)
            return
        body = server.data[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", server.tag)
        self.end_headers()
        self.wfile.write(body[: server.hang_up.pop(0)] if server.hang_up else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def entry(server):
    digest = hashlib.md5(DATA).hexdigest()
    return Published("tiles", "tiles", server.url, "tiles.zip", "https://example.org", "CC BY 4.0", f"md5:{digest}")


def fetch(entry, cache):
    return download(entry, cache, progress=False)


def test_fetched_once_checked_and_recorded(entry, server, tmp_path):
    path = fetch(entry, tmp_path)
    assert path == tmp_path / "tiles" / "tiles.zip"
    assert path.read_bytes() == DATA
    assert fetch(entry, tmp_path) == path
    assert server.ranges == [None]
    record = json.loads((tmp_path / "tiles" / "SOURCE.json").read_text())
    assert (record["licence"], record["url"], record["bytes"]) == ("CC BY 4.0", server.url, len(DATA))
    assert record["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert sorted(file.name for file in path.parent.iterdir()) == ["SOURCE.json", "tiles.zip"]


def test_broken_connections_are_taken_up_again(entry, server, tmp_path):
    server.hang_up = [100_000, 200_000]
    assert fetch(entry, tmp_path).read_bytes() == DATA
    assert server.ranges == [None, "bytes=65536-", "bytes=262144-"]


def test_resumed_by_a_later_call(entry, server, tmp_path):
    server.hang_up = [150_000] + [0] * 9
    with pytest.raises(InputError, match="no answer from 127"):
        fetch(entry, tmp_path)
    part = tmp_path / "tiles" / "tiles.zip.part"
    assert part.stat().st_size == 131_072
    server.hang_up, server.ranges = [], []
    assert fetch(entry, tmp_path).read_bytes() == DATA
    assert server.ranges == ["bytes=131072-"]


def test_a_file_that_changed_is_fetched_from_the_start(entry, server, tmp_path):
    part = tmp_path / "tiles" / "tiles.zip.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 1000)
    part.with_name("tiles.zip.part.tag").write_text('"older"')
    assert fetch(entry, tmp_path).read_bytes() == DATA


@pytest.mark.parametrize("size", [1000, len(DATA) + 5])
def test_a_part_that_cannot_be_resumed_is_fetched_from_the_start(entry, server, tmp_path, size):
    server.resumes = size > len(DATA)
    part = tmp_path / "tiles" / "tiles.zip.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * size)
    part.with_name("tiles.zip.part.tag").write_text('"one"')
    assert fetch(entry, tmp_path).read_bytes() == DATA


def test_another_checksum_is_refused(entry, server, tmp_path):
    with pytest.raises(InputError, match=r"`tiles.zip` must have checksum md5:0+, got another"):
        fetch(replace(entry, checksum="md5:" + "0" * 32), tmp_path)
    assert list((tmp_path / "tiles").iterdir()) == []


def test_without_a_checksum_the_first_download_counts(entry, server, tmp_path):
    unknown = replace(entry, checksum=None)
    path = fetch(unknown, tmp_path)
    path.unlink()
    server.data = DATA[::-1]
    with pytest.raises(InputError, match="got another"):
        fetch(unknown, tmp_path)
    assert not path.exists()


@pytest.mark.parametrize("status", [403, 404, 503])
def test_refusal_says_what_to_do_by_hand(entry, server, tmp_path, status):
    server.status = status
    with pytest.raises(InputError) as error:
        fetch(entry, tmp_path)
    assert f"got status {status} from 127.0.0.1" in str(error.value)
    assert f"fetch https://example.org by hand, put tiles.zip into {tmp_path / 'tiles'}, and try again" in str(
        error.value
    )


def test_offline_is_one_line_and_what_was_put_there_by_hand_is_taken(entry, tmp_path, monkeypatch, capsys):
    offline = replace(entry, url="http://127.0.0.1:9/tiles.zip")
    monkeypatch.setattr(downloads, "find", lambda name: offline)
    monkeypatch.setattr("histoxplain.data.published.find", lambda name: offline)
    assert cli.main(["download", "tiles", "--cache", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "terms: CC BY 4.0" in said.out
    error = said.err.strip().splitlines()[-1]
    assert error.startswith("histoxplain: error: `tiles` must be reachable, got no answer")
    (tmp_path / "tiles" / "tiles.zip").write_bytes(DATA)
    assert cli.main(["download", "tiles", "--cache", str(tmp_path)]) == 0
    assert "histoxplain prepare" in capsys.readouterr().out


def png(seed):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def birds(evil=None):
    buffer = io.BytesIO()
    files = {f"CUB_200_2011/images/{i:03d}.Bird/a{i}.png": png(i) for i in (1, 2)}
    files["CUB_200_2011/images.txt"] = b"1 001.Bird/a1.png\n2 002.Bird/a2.png\n"
    files["CUB_200_2011/image_class_labels.txt"] = b"1 1\n2 2\n"
    files["CUB_200_2011/classes.txt"] = b"1 001.Bird\n2 002.Bird\n"
    files["CUB_200_2011/train_test_split.txt"] = b"1 1\n2 0\n"
    files |= {evil: b"x"} if evil else {}
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_tar_files_are_unpacked_and_their_terms_are_carried_on(entry, server, tmp_path):
    server.data = birds()
    tarred = replace(entry, file="CUB_200_2011.tgz", checksum=None)
    folder = fetch(tarred, tmp_path)
    assert folder == fetch(tarred, tmp_path) == tmp_path / "tiles" / "CUB_200_2011"
    report = prepare(folder, tmp_path / "a.lmdb", 16, progress=False)
    assert report.terms == "CC BY 4.0"
    source = open_source(tmp_path / "a.lmdb")
    assert (source.splits, source.meta["terms"]) == (["train", "test"], "CC BY 4.0")


def test_tar_files_cannot_write_elsewhere(entry, server, tmp_path):
    server.data = birds("../../escaped.txt")
    with pytest.raises(InputError, match="readable archive"):
        fetch(replace(entry, file="CUB_200_2011.tgz", checksum=None), tmp_path / "cache")
    assert not any(path.name == "escaped.txt" for path in tmp_path.rglob("*"))
    assert not (tmp_path / "cache" / "tiles" / "CUB_200_2011").exists()


def test_every_name_is_known():
    assert [entry.name for entry in CATALOGUE] == [
        *("nct-crc-he", "crc-val-he-7k", "lc25000", "chest-xray-pneumonia", "cub-200")
    ]
    assert len(medmnist()) == 12
    for name in names():
        entry = find(name)
        assert entry.url.startswith("https://")
        assert entry.licence
        assert entry.page.startswith("https://")
        assert entry.checksum is None or len(entry.checksum) == len("md5:") + 32
    assert find("medmnist:pathmnist_224").url.endswith("/pathmnist_224.npz")
    assert find("medmnist:pathmnist_28").file == "pathmnist.npz"
    assert find("medmnist:dermamnist").licence == "CC BY-NC 4.0"
    for name, said in (
        ("nct-crc", "nearest valid is 'nct-crc-he'"),
        ("medmnist:pathmnst", "nearest valid is 'medmnist:pathmnist'"),
        ("medmnist:pathmnist_32", "28, 64, 128, 224"),
        ("medmnist:organmnist3d", "must be one of"),
    ):
        with pytest.raises(InputError, match=said):
            find(name)


def test_without_a_name_everything_is_listed(capsys):
    assert cli.main(["download"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in names())
    assert said.count("terms:") == len(CATALOGUE)
