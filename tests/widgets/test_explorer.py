import asyncio
import threading
from datetime import UTC, datetime
from io import BytesIO

import pytest
import torch
from PIL import Image

from histoxplain import InputError
from histoxplain.widgets import Explorer, ExploreSession, generated
from histoxplain.widgets.explorer.stage import change_bytes


@pytest.fixture
def session(bundle, latents):
    made = ExploreSession(bundle, latents, {"up": torch.ones(16)})
    made.recipe = {"count": 9, "axes": 0, "seed": 0}
    return made


@pytest.fixture
def explorer(session):
    return Explorer(session, side=120)


@pytest.fixture(scope="module")
def answered(bundle, latents):
    """One that has found two answers; tests leave it as they found it."""
    explorer = Explorer(ExploreSession(bundle, latents, {"up": torch.ones(16)}), side=120)
    explorer.ask(count=2)
    return explorer


def test_shows_something_at_once(explorer):
    stage = explorer.parts.stage
    assert Image.open(BytesIO(stage.now)).size == (120, 120)
    assert stage.now == stage.before
    assert set(stage.change) == {128}
    assert stage.title_now.startswith("point 0: ")
    assert "The classifier says" in stage.alt_now
    assert explorer.parts.frame.bars.value.count("hx-track") == 3
    assert explorer.parts.message.value == ""


@pytest.mark.parametrize("group", ["mix", "truncation", "steps"])
def test_every_slider_changes_the_picture_and_what_it_was_stays(explorer, group):
    slider = getattr(explorer.parts.sliders, group)
    slider = slider[-1] if isinstance(slider, list) else slider
    before = explorer.parts.stage.now
    slider.value = 0.5
    assert explorer.parts.stage.now != before
    assert explorer.parts.stage.before == before
    assert explorer.parts.stage.title_now.startswith("as you moved it")


def test_a_single_channel_gets_a_slider_on_demand(explorer):
    sliders = explorer.parts.sliders
    sliders.layer.value = sliders.layer.options[1]
    sliders.channel.value = 3
    sliders.one.click()
    before = explorer.parts.stage.now
    ((layer, channel),) = sliders.channels
    sliders.channels[layer, channel].value = 3.0
    assert explorer.place.channels == ((sliders.layer.options[1], 3, 3.0),)
    assert explorer.parts.stage.now != before
    explorer.parts.frame.reset.click()
    assert sliders.channels[layer, channel].value == 0


def test_telling_channels_are_suggested(explorer):
    explorer.parts.sliders.suggest.click()
    assert len(explorer.parts.sliders.channels) == 3
    assert explorer.parts.asking.target.value in explorer.parts.message.value


def test_a_chosen_point_sets_all_sliders_and_draws_once(explorer, monkeypatch):
    explorer.parts.sliders.steps[0].value = 2.0
    drawn, at = [], explorer.bench.session.at
    monkeypatch.setattr(explorer.bench.session, "at", lambda place, **kw: drawn.append(place) or at(place, **kw))
    explorer.choose(7)
    assert drawn == [explorer.bench.session.place(7)]
    assert [slider.value for slider in explorer.parts.sliders.mix] == [0, 1, 0]
    assert explorer.point == 7


def test_undo_redo_reset_by_button_and_by_key(explorer):
    frame, stage = explorer.parts.frame, explorer.parts.stage
    first = stage.now
    explorer.parts.sliders.steps[0].value = 2.0
    moved = stage.now
    frame.undo.click()
    assert (stage.now, frame.undo.disabled, frame.redo.disabled) == (first, True, False)
    stage._handle_custom_msg({"wish": "redo"}, [])
    assert stage.now == moved
    frame.reset.click()
    assert stage.now == first
    assert explorer.parts.sliders.steps[0].value == 0


def test_pinned_is_compared_with(explorer):
    pinned = explorer.parts.stage.now
    explorer.parts.frame.pin.click()
    explorer.choose(4)
    assert explorer.parts.stage.before == pinned
    assert explorer.parts.stage.title_before.startswith("pinned")


def test_answers_are_offered_walked_and_chosen(answered):
    frame, stage = answered.parts.frame, answered.parts.stage
    explanation = answered.bench.explanation
    assert len(frame.strip.pictures) == 3
    assert frame.strip.captions[0] == "start"
    assert (frame.strip.chosen, frame.walk.value) == (1, frame.walk.max)
    expected = change_bytes(answered.bench.see().change, stage.limit)
    assert stage.change == expected
    assert set(expected) != {128}
    frame.strip.chosen = 2
    assert answered.bench.state.walk.which == 1
    frame.walk.value = 10
    assert stage.title_now.startswith("answer 2, 50% of the way")
    stage._handle_custom_msg({"wish": "0"}, [])
    assert stage.title_now.startswith("start")
    stage._handle_custom_msg({"wish": "1"}, [])
    assert torch.equal(answered.parts.scene.view.now.image, explanation.counterfactuals[0])


def test_what_is_painted_is_where_the_next_answer_may_change(explorer):
    parts = explorer.parts
    parts.stage.mask = bytes([0] * 128 + [255] * 128)
    assert "50% of the image may change" in parts.region.share.value
    parts.region.turn.click()
    assert explorer.bench.state.mask == bytes([255] * 128 + [0] * 128)
    parts.asking.count.value = 1
    parts.asking.button.click()
    assert explorer.bench.explanation.change[0, 8:].abs().max() == 0
    parts.region.clear.click()
    assert "everything may change" in parts.region.share.value


def test_the_browsers_bytes_are_taken(explorer):
    explorer.parts.stage.set_state({"mask": memoryview(bytes([255] * 64 + [0] * 192))})
    assert "25% of the image" in explorer.parts.region.share.value


def test_several_points_are_shown_side_by_side(explorer):
    explorer.parts.map.view._scatter.widget.selection = [1, 4, 7]
    assert "3 points" in explorer.parts.map.found.value
    assert len(explorer.parts.map.strip.pictures) == 3
    explorer.parts.map.strip.chosen = 2
    assert explorer.point == 7


def dropped(name, content):
    """A file as browsers hand it in."""
    when = datetime(2026, 1, 1, tzinfo=UTC)
    size = len(content)
    return {"name": name, "content": memoryview(content), "type": "image/png", "size": size, "last_modified": when}


def test_an_image_is_dropped_in(explorer, tmp_path):
    Image.new("RGB", (20, 20), "pink").save(tmp_path / "biopsy.png")
    explorer.parts.frame.upload.value = (dropped("biopsy.png", (tmp_path / "biopsy.png").read_bytes()),)
    assert explorer.parts.stage.title_now.startswith("biopsy, redrawn")
    assert explorer.parts.stage.title_before.startswith("the photograph")
    assert explorer.parts.frame.image.label == "biopsy"
    explorer.parts.frame.upload.value = (dropped("letter.png", b"Dear doctor"),)
    assert "hx-error" in explorer.parts.message.value
    explorer.parts.frame.image.value = -1
    assert explorer.parts.stage.title_now.startswith("point 0")


def test_the_table_is_filled_while_it_is_open(explorer, monkeypatch):
    asked = []
    monkeypatch.setattr(explorer.bench, "measure", lambda state: asked.append(state) or fake())

    def fake():
        from histoxplain.explain import compare_images

        return compare_images(torch.zeros(1, 16, 16), torch.full((1, 16, 16), 0.5))

    explorer.parts.sliders.steps[0].value = 1.0
    assert asked == []
    explorer.parts.frame.tabs.selected_index = 3
    assert asked == [explorer.bench.state]
    assert "brightness" in explorer.parts.frame.measured.value
    assert "+50%" in explorer.parts.frame.measured.value


def test_files_are_made_and_linked(explorer):
    saving = explorer.parts.saving
    saving.kind.value = "Python"
    saving.make.click()
    assert "download='reproduce.py'" in saving.made.value
    assert "hx.widgets.Place(" in saving.made.value
    saving.kind.value = "GIF"
    saving.make.click()
    assert "nothing was moved" in explorer.parts.message.value


def test_errors_appear_in_the_widget_and_go_away(explorer, monkeypatch):
    def fail(place, **options):
        raise RuntimeError("out of tissue")

    with monkeypatch.context() as broken:
        broken.setattr(explorer.bench.session, "at", fail)
        explorer.parts.sliders.truncation.value = 0.3
    assert "out of tissue" in explorer.parts.message.value
    explorer.parts.sliders.truncation.value = 0.4
    assert explorer.parts.message.value == ""


def test_the_kernel_computes_nothing_itself_and_moves_coalesce(explorer, monkeypatch):
    where, at, gate = [], explorer.bench.session.at, threading.Event()

    def slow(place, **options):
        gate.wait(20)
        where.append((threading.current_thread(), place.truncation))
        return at(place, **options)

    async def drag():
        monkeypatch.setattr(explorer.bench.session, "at", slow)
        for i in range(10):
            explorer.parts.sliders.truncation.value = i / 20
        gate.set()
        while explorer.parts._drawing.busy:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(drag(), 30))
    assert [psi for _, psi in where] == [0.0, 0.45]
    assert threading.main_thread() not in {thread for thread, _ in where}
    assert explorer.parts.sliders.truncation.value == 0.45
    assert explorer.parts.scene.view.state == explorer.bench.state


def test_says_what_is_wrong(explorer):
    with pytest.raises(InputError, match="`point` must lie in"):
        explorer.choose(9)
    with pytest.raises(InputError, match="`target` must be one of"):
        explorer.ask("blue")


def test_suits_dark_pages(explorer):
    explorer.parts.stage.dark = True
    scatter = explorer.parts.map.view._scatter.widget
    assert sum(scatter.background_color[:3]) < 1
    assert not scatter.axes


def test_clusters_colour_the_map(explorer):
    explorer.parts.map.colour.value = "cluster"
    assert explorer.parts.map.view._scatter.color()["by"] == "cluster"


def test_images_come_first(bundle, latents):
    images = generated(bundle, each=1)
    explorer = Explorer(ExploreSession(bundle, latents, {}), images=images, side=60)
    assert explorer.parts.stage.title_now.startswith("pale 1")
    explorer.parts.frame.image.value = 2
    assert explorer.parts.stage.title_now.startswith("red 1")


def test_brings_a_picture_for_pages_without_widgets(explorer, answered):
    explorer.parts.map.colour.value = "red"
    bundle = explorer._repr_mimebundle_()
    assert Image.open(BytesIO(bundle["image/jpeg"])).width > 240
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == "Explorer(9 points, 1 directions, at point 0)"
    whole = Image.open(BytesIO(answered._repr_mimebundle_()["image/jpeg"]))
    assert whole.width > 4 * 120


def test_a_bundle_is_enough(bundle, session, monkeypatch):
    def start(cls, given, count, seed, images):
        assert (given, count, seed) == (bundle, 30, 4)
        return session

    monkeypatch.setattr(ExploreSession, "start", classmethod(start))
    explorer = Explorer(bundle, points=30, seed=4, start=5, side=60)
    assert explorer.parts.stage.title_now.startswith("point 5")
    assert explorer.bench.answers.seed == 4
