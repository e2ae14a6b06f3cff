import base64
import io
import tempfile
import threading
from contextlib import suppress

import pytest
import torch
from PIL import Image

pytest.importorskip("gradio")
from starlette.testclient import TestClient

from histoxplain.app import Desk, LateError, Limits, web_app
from histoxplain.data import to_unit
from histoxplain.data.transforms import from_picture


@pytest.fixture(scope="module")
def client(shelf):
    app = web_app(shelf, Desk(), Limits(megabytes=0.1))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def image(uri):
    kind, _, data = uri.partition(";base64,")
    assert kind == "data:image/webp"
    return to_unit(from_picture(Image.open(io.BytesIO(base64.b64decode(data)))))


def post(client, route, path, **fields):
    return client.post(route, files={"image": (path.name, path.read_bytes())}, data=fields)


def test_the_schema_describes_every_route(client):
    schema = client.get("/openapi.json").json()
    assert {"/bundles", "/predict", "/explain"} <= set(schema["paths"])
    answer = schema["components"]["schemas"]["Explained"]["properties"]
    assert {"source", "target", "changes", "reliability", "report", "warning"} <= set(answer)
    assert schema["components"]["schemas"]["Change"]["properties"]["valid"]["description"]


def test_bundles(client):
    paint, undrawn = client.get("/bundles").json()
    assert (paint["class_names"], paint["resolution"]) == (["dark", "medium", "red"], 16)
    assert paint["licence"] == "CC0"
    assert list(undrawn["methods"]) == ["pixels"]


def test_predict(client, picture_file, bundle):
    found = post(client, "/predict", picture_file("p.png", red=20)).json()
    assert (found["predicted"], found["image"], found["bundle"]) == ("dark", "p.png", "paint")
    assert sum(found["probabilities"].values()) == pytest.approx(1)
    assert found["warning"] == "For research use only. Not for diagnosis."


def test_explain_tells_what_the_classifier_says_of_the_images_it_sends(client, picture_file, bundle):
    given = {"target": "medium", "count": 2, "report": True}
    found = post(client, "/explain", picture_file("q.png"), **given).json()
    assert (found["source"], found["target"], len(found["changes"])) == ("red", "medium", 2)
    for change in found["changes"]:
        x = image(change["image"])
        p = bundle.classifier.probabilities(x[None])[0]
        assert p.tolist() == pytest.approx([change["probabilities"][name] for name in bundle.class_names], abs=1e-5)
        assert change["valid"] == (int(p.argmax()) == 1 and float(p[1]) >= found["threshold"])
        assert change["l1"] == pytest.approx(float((x - image(found["original"])).abs().mean()), abs=1e-6)
    assert found["report"].startswith("<!doctype html>")
    assert found["reliability"]["sentence"]
    assert post(client, "/explain", picture_file("q.png"), target="medium").json()["report"] is None


def test_what_is_wrong_is_said_in_a_line(client, picture_file, tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    for path, fields, words in [
        (tmp_path / "text.png", {}, "The image must be a readable image, got text.png"),
        (picture_file("r.png"), {"target": "red"}, "another class than the classifier's own"),
        (picture_file("r.png"), {"bundle": "pant"}, "nearest valid is 'paint'"),
        (picture_file("r.png"), {"method": "cyclegan"}, "must be one of latent"),
    ]:
        reply = post(client, "/explain", path, **fields)
        assert reply.status_code == 400
        assert words in reply.json()["detail"]
        assert tempfile.gettempdir() not in reply.text
    assert post(client, "/explain", picture_file("r.png"), count=99).status_code == 422


def test_large_files_are_refused_before_they_are_received(client, tmp_path, picture_file):
    (tmp_path / "huge.png").write_bytes(bytes(200_000))
    assert post(client, "/predict", tmp_path / "huge.png").status_code == 413
    path = picture_file("s.png")
    reply = client.post("/predict", content=iter([path.read_bytes()]))  # sent in chunks, of unknown length
    assert reply.status_code == 411


def test_nothing_stays_behind(client, picture_file, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    post(client, "/predict", picture_file("t.png"))
    post(client, "/explain", picture_file("t.png"), target="red")
    assert list(tmp_path.iterdir()) == []


def hold(desk, go):
    with suppress(LateError):
        desk.ask(go.wait)


def test_busy_and_late_are_told(shelf, picture_file):
    desk, go = Desk(waiting=0, seconds=0.2), threading.Event()
    client = TestClient(web_app(shelf, desk), base_url="http://localhost")
    first = threading.Thread(target=hold, args=(desk, go))
    first.start()
    while not desk._here:
        pass
    assert post(client, "/predict", picture_file("u.png")).status_code == 503
    go.set()
    first.join()
    while desk._here:
        pass
    late = threading.Event()
    shelf_take, shelf.take = shelf.take, lambda name: late.wait()
    try:
        assert post(client, "/predict", picture_file("u.png")).status_code == 504
    finally:
        late.set()
        shelf.take = shelf_take


def test_no_file_of_the_server_can_be_read(client, root, bundle):
    assert "histoxplain" in client.get("/").text
    for path in ("/etc/passwd", str(root / "setup.cfg"), "setup.cfg", "../setup.cfg", "checkpoints/x/bundle.json"):
        for route in ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/static/", "/assets/", "/"):
            reply = client.get(route + path)
            assert reply.status_code in (400, 403, 404, 405), (route, path)


def test_other_hosts_are_refused_and_browsers_fetch_from_here_only(client, shelf):
    assert client.get("/", headers={"host": "elsewhere.org"}).status_code == 421
    policy = client.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'self'")
    assert "http" not in policy
    everywhere = TestClient(web_app(shelf, hosts=None), base_url="http://elsewhere.org")
    assert everywhere.get("/openapi.json").status_code == 200


def test_pages_of_other_servers_may_not_ask(client, picture_file):
    files = {"image": ("p.png", picture_file("p.png").read_bytes())}
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        assert client.post("/predict", files=files, headers={"sec-fetch-site": site}).status_code == status
    assert client.get("/bundles", headers={"sec-fetch-site": "cross-site"}).status_code == 200  # a link leads here


def test_the_buttons_of_the_page_are_no_interface_of_their_own(client):
    assert client.get("/gradio_api/info").json()["named_endpoints"] == {}


def test_tensors_of_the_picture_survive_the_wire():
    from histoxplain.viz.page import embed

    x = to_unit(torch.arange(192, dtype=torch.uint8).reshape(3, 8, 8))
    assert torch.equal(image(embed(x)), x)
