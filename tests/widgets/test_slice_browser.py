"""A slider moves through a volume whose every slice is known."""

import io

import numpy as np
import pytest
from PIL import Image

from histoxplain import InputError
from histoxplain.data.volumes import Volume
from histoxplain.widgets import Look, SliceBrowser, SliceSession


@pytest.fixture
def scan():
    """Slice z has 100 z HU in its front right corner, air elsewhere; voxels are twice as deep as wide."""
    values = np.full((8, 4, 6), -1000.0)
    values[4:, 2:] = 100 * np.arange(6)
    return Volume(values, np.diag([1.0, 2.0, 5.0, 1.0]), "scan")


@pytest.fixture
def truth(scan):
    mask = np.zeros(scan.values.shape, dtype=np.uint8)
    mask[4:6, 2:, 2] = 5
    mask[4:, 2:, 4] = 5
    return Volume(mask, scan.affine, "truth")


def shown(browser):
    return np.asarray(Image.open(io.BytesIO(browser.picture.value)).convert("RGB")).astype(int)


def test_slices_are_windowed_and_turned_as_radiologists_look(scan):
    session = SliceSession(scan, side=64)
    assert session.size == (64, 64)  # 8 x 1 mm wide, 4 x 2 mm high
    picture = np.asarray(session.draw(Look(2, centre=200, width=400)))
    assert picture.shape == (64, 64, 3)
    assert (picture[8:24, 14:26] == 128).all()  # 200 HU, in the patient's front right: above, left
    assert (picture[40:44, 40:56] == 0).all()
    brighter = np.asarray(session.draw(Look(4, centre=200, width=400)))
    assert (brighter[8:24, 14:26] == 255).all()


def test_overlays_are_mixed_by_opacity_and_outlined(scan, truth):
    session = SliceSession(scan, {"truth": truth}, side=64)
    plain, seen = (np.asarray(session.draw(Look(4, 200, 400, 0.5, names))) for names in ((), ("truth",)))
    mixed = 0.5 * 255 + 0.5 * np.array(session.colours["truth"])
    assert np.abs(seen[10:20, 14:26] - mixed).max() <= 1
    assert (seen[31, 16:26] == session.colours["truth"]).all()  # its lower border
    assert np.array_equal(seen[34:60, 34:60], plain[34:60, 34:60])
    assert np.array_equal(np.asarray(session.draw(Look(4, 200, 400, 0.0, ("truth",)))), plain)


def test_a_prediction_shows_as_strong_as_it_is(scan):
    half = np.zeros(scan.values.shape, dtype=np.float32)
    half[4:, 2:, 4] = 0.4
    seen = np.asarray(SliceSession(scan, {"p": Volume(half, scan.affine)}, 64).draw(Look(4, 200, 400, 0.5, ("p",))))
    assert np.abs(seen[10:20, 14:26] - (0.8 * 255 + 0.2 * np.array([230, 85, 13]))).max() <= 1.5


def test_sentence_counts_square_millimetres(scan, truth):
    session = SliceSession(scan, {"truth": truth})
    assert session.sentence(Look(4, 0, 1, shown=("truth",))) == "slice 5 of 6, at 20 mm; truth 16 square mm"
    assert session.first == 4


def test_windows_to_begin_with(scan):
    assert SliceSession(scan).window == (40, 400)
    assert SliceSession(np.linspace(-1, 1, 64).reshape(4, 4, 4)).window == (0, 2)
    centre, width = SliceSession(np.linspace(0, 3000, 1000).reshape(10, 10, 10)).window
    assert abs(centre - 1500) < 1
    assert 2900 < width < 3000


def test_slices_as_they_are_prepared_keep_their_sides():
    slices = np.zeros((3, 8, 8))
    slices[1, :4, :4] = 1
    picture = np.asarray(SliceSession(slices, side=64).draw(Look(1, 0, 2)))
    assert (picture[8:24, 14:26] == 255).all()
    assert (picture[40:44, 40:56] == 128).all()


def test_sliders_and_switches_redraw(scan, truth):
    browser = SliceBrowser(scan, {"truth": truth}, side=64)
    assert browser.slice.value == 4
    first = shown(browser)
    browser.slice.value = 1
    assert not np.array_equal(shown(browser), first)
    assert "slice 2 of 6" in browser.text.value
    browser.slice.value = 4
    assert np.array_equal(shown(browser), first)
    browser.switches["truth"].value = False
    assert not np.array_equal(shown(browser), first)
    browser.window.value = (400.0, 1800.0)
    assert (browser.centre.value, browser.width.value) == (400, 1800)
    assert browser.look == Look(4, 400, 1800, 0.4, ())
    assert browser.message.value == ""


def test_buttons_jump_to_slices_with_an_overlay(scan, truth):
    browser = SliceBrowser(scan, {"truth": truth}, side=32)
    browser.before.click()
    assert browser.slice.value == 2
    browser.before.click()
    assert browser.slice.value == 2
    browser.after.click()
    assert browser.slice.value == 4


def test_leaves_a_still_where_widgets_cannot_live(scan, truth):
    bundle = SliceBrowser(scan, {"truth": truth}, side=32)._repr_mimebundle_()
    assert bundle["image/jpeg"][:2] == b"\xff\xd8"
    assert bundle["text/plain"] == "SliceBrowser(scan with truth, showing slice 5 of 6, at 20 mm; truth 16 square mm)"
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_refuses(scan):
    with pytest.raises(InputError, match=r"`overlays\['a'\]` must have shape \(8, 4, 6\), got \(2, 2, 2\)"):
        SliceBrowser(scan, {"a": np.zeros((2, 2, 2))})
    with pytest.raises(InputError, match="opacity"):
        SliceBrowser(scan, opacity=2)
    with pytest.raises(InputError, match="existing"):
        SliceBrowser("nowhere.nii")
    with pytest.raises(InputError, match="index"):
        SliceSession(scan).draw(Look(6, 0, 1))
