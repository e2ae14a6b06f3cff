"""Weights from a server on this machine; small stand-ins with a checksum of their own."""

import hashlib
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from histoxplain import InputError
from histoxplain.metrics import (
    FEATURES,
    INCEPTION,
    best_features,
    feature_net,
    fetch_weights,
    find_weights,
    how_to_get_weights,
    inception_weights,
)

DATA = b"weights" * 10_000


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A publisher of DATA; `pages` is its folder, an empty cache is ours, and torch has fetched nothing."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HISTOXPLAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "weights.pth").write_bytes(DATA)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(pages))) as server:
        server.pages = pages
        server.url = f"http://127.0.0.1:{server.server_port}/weights.pth"
        publish(monkeypatch, url=server.url, checksum=f"sha256:{hashlib.sha256(DATA).hexdigest()}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def publish(monkeypatch, **facts):
    monkeypatch.setattr(inception_weights, "WEIGHTS", replace(inception_weights.WEIGHTS, **facts))


def test_fetched_once_and_checked(server, tmp_path):
    assert find_weights() is None
    path = fetch_weights(progress=False)
    assert path == tmp_path / "cache" / "inception_v3-fid" / "pt_inception-2015-12-05-6726825d.pth"
    assert path.read_bytes() == DATA
    (server.pages / "weights.pth").unlink()
    assert fetch_weights(progress=False) == find_weights() == path


def test_another_file_is_refused(server):
    (server.pages / "weights.pth").write_bytes(DATA[::-1])
    with pytest.raises(InputError, match=r"`pt_inception.*` must have checksum sha256:\w+, got another"):
        fetch_weights(progress=False)
    assert find_weights() is None


@pytest.mark.parametrize("name", ["pt_inception-2015-12-05-6726825d.pth", "weights-inception-2015-12-05-6726825d.pth"])
def test_what_other_packages_fetched_is_used(server, tmp_path, name):
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(DATA[::-1])
    assert find_weights() is None
    (folder / name).write_bytes(DATA)
    assert fetch_weights(progress=False) == folder / name


def test_offline_is_one_line_and_what_was_put_there_by_hand_is_taken(server, tmp_path, monkeypatch):
    publish(monkeypatch, url="http://127.0.0.1:9/weights.pth")
    with pytest.raises(InputError) as error:
        fetch_weights(progress=False)
    folder = tmp_path / "cache" / "inception_v3-fid"
    assert str(error.value) == (
        "`inception_v3-fid` must be reachable, got no answer from 127.0.0.1:9; fetch https://github.com/mseitzer/"
        "pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth by hand, "
        f"put pt_inception-2015-12-05-6726825d.pth into {folder}, and try again."
    )
    (folder / "pt_inception-2015-12-05-6726825d.pth").write_bytes(DATA)
    assert fetch_weights(progress=False).read_bytes() == DATA


def test_nothing_is_taken_in_their_place(server, tmp_path, monkeypatch):
    publish(monkeypatch, url="http://127.0.0.1:9/weights.pth")
    feature_net.cache_clear()
    assert best_features() == FEATURES
    with pytest.raises(InputError, match="`inception_v3-fid` must be reachable"):
        feature_net(INCEPTION)
    folder = tmp_path / "cache" / "inception_v3-fid"
    assert how_to_get_weights().endswith(f"put pt_inception-2015-12-05-6726825d.pth into {folder}")
    (folder / "pt_inception-2015-12-05-6726825d.pth").write_bytes(DATA)
    assert best_features() == INCEPTION


def test_the_published_checksum_begins_as_the_file_is_called():
    weights = inception_weights.WEIGHTS
    assert weights.checksum.removeprefix("sha256:")[:8] in weights.file
    assert len(weights.checksum) == len("sha256:") + 64
    assert weights.licence == "Apache-2.0"
