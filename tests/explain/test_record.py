import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from histoxplain._checks import InputError
from histoxplain.explain import Explanation, change_map, judge, quantised

KEYS = [
    "method",
    "case_id",
    "source_class",
    "target_class",
    "class_names",
    "probabilities_before",
    "threshold",
    "seconds",
    "settings",
    "counterfactuals",
    "reliability",
    "measurements",
]


@pytest.fixture
def explanation(colour):
    original, images = quantised(colour(0.5)), quantised(torch.stack([colour(0.0), colour(-0.5)]))
    return Explanation(
        method="latent",
        case_id="case-1",
        original=original,
        reconstruction=quantised(colour(0.4)),
        counterfactuals=images,
        class_names=("a", "<b>"),
        source_class=0,
        target_class=1,
        probabilities_before=torch.tensor([0.9, 0.1]),
        probabilities_after=torch.tensor([[0.25, 0.75], [0.6, 0.4]]),
        valid=torch.tensor([True, False]),
        change=change_map(quantised(colour(0.4))[None], images),
        latents={"start": torch.zeros(6, 6), "end": torch.ones(2, 6, 6)},
        settings={"moves": ["label", "gradient"]},
        seconds=1.5,
        reliability={"sentence": "Do not trust change 2: so & so.", "trusted": [True, False], "checks": []},
        measurements=[{"sentence": "Nuclei 31 % fewer."}, {"sentence": "Nothing."}],
    )


def test_comes_back_as_it_was_saved(explanation, tmp_path):
    again = Explanation.load(explanation.save(tmp_path / "e"))
    for name, value in vars(explanation).items():
        other = getattr(again, name)
        if isinstance(value, torch.Tensor):
            assert value.equal(other), name
        elif name == "latents":
            assert {k: v.tolist() for k, v in value.items()} == {k: v.tolist() for k, v in other.items()}
        else:
            assert value == other, name


def test_json_is_the_contract(explanation, tmp_path):
    folder = explanation.save(tmp_path / "e")
    content = json.loads((folder / "explanation.json").read_text())
    assert list(content) == KEYS
    assert (content["source_class"], content["target_class"]) == ("a", "<b>")
    first = content["counterfactuals"][0]
    assert set(first) == {"file", "change_file", "probabilities_after", "valid", "l1"}
    assert first["valid"] is True
    assert first["l1"] == pytest.approx(0.5 / 3, abs=0.005)  # red from 0.5 to 0, the others stay
    with Image.open(folder / first["file"]) as image, Image.open(folder / first["change_file"]) as change:
        saved = np.array(image)
        assert change.size == (16, 16)
    assert saved.shape == (16, 16, 3)
    assert saved[0, 0].tolist() == [128, 128, 128]


def test_replaces_an_older_one_and_nothing_else(explanation, tmp_path):
    explanation.save(tmp_path / "e")
    replace(explanation, case_id="second").save(tmp_path / "e")
    assert Explanation.load(tmp_path / "e").case_id == "second"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="hold an explanation"):
        explanation.save(tmp_path / "mine")


def test_a_failed_save_leaves_nothing(explanation, tmp_path, monkeypatch):
    monkeypatch.setattr("histoxplain.explain.record.save_file", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        explanation.save(tmp_path / "e")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["explanation.json", "arrays.safetensors", "counterfactual-2.png"])
def test_a_damaged_one_is_refused(explanation, tmp_path, damage):
    file = explanation.save(tmp_path / "e") / damage
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(InputError, match="saved explanation"):
        Explanation.load(tmp_path / "e")


def test_judged_as_saved(bundle, colour):
    """A red that is enough in floating point but is rounded below the boundary on saving is not valid."""
    classifier, step = bundle.classifier, 1 / 127.5
    below = quantised(colour(classifier.width))[0, 0, 0].item()
    below -= step if below >= classifier.width else 0  # the last 8-bit red that is still "medium"
    x = colour(below + 0.49 * step)
    classifier.width, width = below + 0.25 * step, classifier.width
    try:
        assert classifier.probabilities(x[None]).argmax() == 2
        _, p, valid = judge(classifier, x[None], 2, threshold=0.0)
        assert p.argmax() == 1
        assert not valid.any()
    finally:
        classifier.width = width


def test_valid_needs_the_threshold_and_the_majority(bundle, colour):
    x = torch.stack([colour(0.25 + d) for d in (-0.02, 0.02, 0.3)])
    assert judge(bundle.classifier, x, 2, threshold=0.5)[2].tolist() == [False, True, True]
    assert judge(bundle.classifier, x, 2, threshold=0.9)[2].tolist() == [False, False, True]
    assert judge(bundle.classifier, x, 2, threshold=0.1)[2].tolist() == [False, True, True]


def test_older_ones_load_without_what_was_not_known_then(explanation, tmp_path):
    file = explanation.save(tmp_path / "e") / "explanation.json"
    content = json.loads(file.read_text())
    del content["reliability"], content["measurements"]
    file.write_text(json.dumps(content))
    again = Explanation.load(tmp_path / "e")
    assert (again.reliability, again.measurements) == (None, None)


def test_draws_itself(explanation):
    html = explanation._repr_html_()
    assert "Do not trust change 2: so &amp; so." in html
    assert "Change 1: Nuclei 31 % fewer." in html
    assert html.count("data:image/png;base64,") == 6
    assert "<b>&lt;b&gt;" not in html
    assert "&lt;b&gt;" in html
    assert "not reached" in html
    assert repr(explanation) == "Explanation('case-1', a -> <b>, 1 of 2 valid, latent)"


def test_wrong_shapes_are_refused(explanation):
    with pytest.raises(InputError, match="change"):
        replace(explanation, change=torch.zeros(1, 16, 16))


def test_nothing_found_is_a_record_too(explanation, tmp_path):
    empty = {n: getattr(explanation, n)[:0] for n in ("counterfactuals", "probabilities_after", "valid", "change")}
    nothing = replace(explanation, latents={}, **empty)
    assert len(Explanation.load(nothing.save(tmp_path / "e"))) == 0
