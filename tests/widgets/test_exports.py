from dataclasses import replace
from io import BytesIO
from types import SimpleNamespace
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

import histoxplain as hx
from histoxplain import InputError
from histoxplain.widgets import ExploreSession, Workbench, export, exports, generated, snippet_of


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(exports, "FILM_SIDE", 64)


@pytest.fixture
def bench(bundle, latents):
    session = ExploreSession(bundle, latents, {"up": torch.ones(16)})
    session.recipe = {"count": 9, "axes": 0, "seed": 0}
    return Workbench(session)


@pytest.fixture
def rerun(bundle, latents, monkeypatch, tmp_path):
    """Run a snippet in an empty folder: what its last image was."""

    def start(bundle, count, axes, seed, images=()):
        assert (count, axes, seed) == (9, 0, 0)
        return ExploreSession(bundle, latents, {"up": torch.ones(16)}, images)

    monkeypatch.setattr(hx, "load_bundle", lambda name: {"tiny": bundle}[name])
    monkeypatch.setattr(ExploreSession, "start", start)
    monkeypatch.chdir(tmp_path)

    def run(text):
        names = {}
        exec(compile(text, "snippet", "exec"), names)
        with Image.open(tmp_path / "now.png") as saved:
            assert saved.size == (512, 512)
        return names["sight"].image

    return run


def test_the_snippet_shows_sliders_again(bench, rerun):
    layer = next(iter(bench.session.deviations))
    place = replace(bench.session.place(4), mix=(0.1, 0.7, 0.2), truncation=0.7, steps=(1.25,))
    bench.move(replace(place, channels=((layer, 1, -2.0),)))
    assert torch.equal(rerun(snippet_of(bench)), bench.see().now.image)


def test_the_snippet_shows_an_answer_again(bench, rerun):
    bench.choose(5)
    bench.allow(bytes([0] * 128 + [255] * 128))
    bench.take(bench.question(count=2), at=0.5)
    assert torch.equal(rerun(snippet_of(bench)), bench.see().now.image)


def test_the_snippet_opens_the_image_again(bundle, latents, rerun):
    session = ExploreSession(bundle, latents, {"up": torch.ones(16)}, generated(bundle, each=1))
    session.recipe = {"count": 9, "axes": 0, "seed": 0}
    bench = Workbench(session)
    bench.choose_image(2)
    bench.move(replace(bench.state.place, steps=(0.5,)))
    assert torch.equal(rerun(snippet_of(bench)), bench.see().now.image)


def test_what_cannot_be_written_down_says_so(bundle, latents):
    bench = Workbench(ExploreSession(bundle, latents, {}))
    with pytest.raises(InputError, match=r"made by `ExploreSession.start`"):
        snippet_of(bench)


def test_the_picture_shows_before_now_and_change(bench):
    bench.move(replace(bench.state.place, steps=(2.0,)))
    found = Image.open(BytesIO(export(bench, "picture")))
    assert found.format == "PNG"
    assert found.width == 3 * exports.SIDE + 24


def test_a_path_moves_all_sliders_at_once(bench):
    end = replace(bench.state.place, mix=(0.0, 0.0, 1.0), truncation=0.5, steps=(2.0,))
    bench.move(end)
    film = exports.path(bench, frames=5)
    half = replace(end, mix=(0.5, 0.0, 0.5), truncation=0.75, steps=(1.0,))
    assert torch.equal(film.frames[2], bench.session.at(half).image)
    assert torch.equal(film.frames[4], bench.session.at(end).image)


def test_a_gif_goes_there_and_back(bench):
    bench.move(replace(bench.state.place, steps=(3.0,)))
    found = Image.open(BytesIO(export(bench, "GIF")))
    assert found.n_frames == 2 * exports.FRAMES - 2
    bench.reset()
    with pytest.raises(InputError, match="nothing was moved"):
        export(bench, "GIF")


def test_an_mp4_plays(bench):
    av = pytest.importorskip("av", reason="needs PyAV: pip install histoxplain[video]")
    bench.move(replace(bench.state.place, steps=(3.0,)))
    with av.open(BytesIO(export(bench, "MP4"))) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(frames) == 2 * exports.FRAMES - 1
    first = np.asarray(hx.widgets.picture(bench.session.at(bench.session.place(0)).image, exports.FILM_SIDE))
    assert np.abs(frames[0].astype(float) - first).mean() < 8


def test_without_pyav_the_message_says_how(bench, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    bench.move(replace(bench.state.place, steps=(3.0,)))
    with pytest.raises(ImportError, match=r"histoxplain\[video\]"):
        export(bench, "MP4")


def test_the_folder_holds_everything(bench, tmp_path):
    with pytest.raises(InputError, match="no answer yet"):
        export(bench, "explanation")
    bench.take(bench.question(count=2))
    with ZipFile(BytesIO(export(bench, "explanation"))) as packed:
        packed.extractall(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"point-0", "report.html", "reproduce.py", "walk.gif"}
    loaded = hx.explain.Explanation.load(tmp_path / "point-0")
    assert torch.equal(loaded.counterfactuals, bench.explanation.counterfactuals)
    assert "python reproduce.py" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_an_answer_that_cannot_be_written_down_is_saved_all_the_same(bundle, latents):
    bench = Workbench(ExploreSession(SimpleNamespace(**vars(bundle)), latents, {}))
    bench.take(bench.question(count=1))
    with ZipFile(BytesIO(export(bench, "explanation"))) as packed:
        assert packed.read("reproduce.py").startswith(b"# `session` must be made by")
