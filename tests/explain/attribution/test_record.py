import json

import numpy as np
import pytest
import torch
from PIL import Image

from histoxplain import InputError
from histoxplain.explain import Attribution, paint_map
from histoxplain.explain.attribution.colours import overlay


def record(**changes):
    given = {
        "method": "occlusion",
        "case_id": "tile-7",
        "original": torch.linspace(-1, 1, 48).reshape(3, 4, 4),
        "map": torch.arange(16.0).reshape(4, 4) - 5,
        "signed": True,
        "meaning": "fall of the logit when hidden",
        "class_names": ("benign", "<malignant>"),
        "target_class": 1,
        "probabilities": torch.tensor([0.25, 0.75]),
        "layer": None,
        "settings": {"patch": 2},
        "seconds": 0.5,
    }
    return Attribution(**given | changes)


def test_comes_back_from_its_folder(tmp_path):
    one = record(layer="body.3")
    again = Attribution.load(one.save(tmp_path / "a" / "b"))
    for name, value in vars(one).items():
        other = getattr(again, name)
        assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other


def test_the_folder_holds_pictures_and_json(tmp_path):
    folder = record().save(tmp_path / "a")
    content = json.loads((folder / "attribution.json").read_text())
    assert content["target_class"] == "<malignant>"
    assert (content["smallest"], content["largest"]) == (-5.0, 10.0)
    for name in ("original", "map", "overlay"):
        with Image.open(folder / content["files"][name]) as picture:
            assert picture.size == (4, 4)


def test_replaces_itself_and_nothing_else(tmp_path):
    record().save(tmp_path / "a")
    record(method="lime").save(tmp_path / "a")
    assert Attribution.load(tmp_path / "a").method == "lime"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="`folder` must be new or hold an attribution"):
        record().save(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


@pytest.mark.parametrize("broken", ["attribution.json", "arrays.safetensors"])
def test_a_broken_folder_is_refused(tmp_path, broken):
    folder = record().save(tmp_path / "a")
    (folder / broken).write_bytes(b"{}")
    with pytest.raises(InputError, match="`folder` must hold a saved attribution"):
        Attribution.load(folder)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"map": torch.zeros(3, 3)}, "map"),
        ({"probabilities": torch.zeros(3)}, "probabilities"),
        ({"signed": False}, "map"),
    ],
)
def test_refuses_what_does_not_fit(change, name):
    with pytest.raises(InputError, match=f"`{name}` must"):
        record(**change)


def test_html_escapes_names_and_holds_two_pictures():
    html = record()._repr_html_()
    assert "&lt;malignant&gt; (75%)" in html
    assert html.count("data:image/png;base64,") == 2


def test_above_marks_the_share_asked_for_among_what_speaks_for_it():
    one = record()
    assert one.above(0.25).flatten().tolist() == [False] * 12 + [True] * 4
    assert int(one.above(0).sum()) == 0
    assert int(one.above(1).sum()) == 10  # the others speak against


def test_what_is_kept_is_the_image_and_the_rest_is_blurred():
    kept, one = record().kept(0.25), record()
    assert torch.equal(kept[:, 3], one.original[:, 3])
    assert torch.equal(record().kept(0.0), record(map=-torch.ones(4, 4)).kept(1.0))  # nothing speaks for the class


def test_colours_say_for_against_and_nothing():
    painted = paint_map(torch.tensor([[-1.0, 0.0, 1.0]]))[0].astype(int)
    assert painted[0][2] > painted[0][0] + 100  # blue against
    assert painted[2][0] > painted[2][2] + 100  # orange for
    assert np.ptp(painted[1]) == 0


def test_where_a_map_says_nothing_the_image_is_seen():
    x = torch.linspace(-1, 1, 16).reshape(1, 4, 4)
    seen = overlay(x, torch.zeros(4, 4))
    assert seen[..., 0].astype(int).flatten().tolist() == ((x.flatten() + 1) * 127.5 + 0.5).int().tolist()


def test_a_map_without_sign_begins_at_its_smallest_value():
    painted = paint_map(torch.tensor([[0.50, 0.51, 0.52]]), signed=False)
    flat = paint_map(torch.full((1, 3), 0.5), signed=False)
    assert len(np.unique(painted.reshape(-1, 3), axis=0)) == 3
    assert np.array_equal(flat[0], np.repeat(painted[:1, 0], 3, 0))
