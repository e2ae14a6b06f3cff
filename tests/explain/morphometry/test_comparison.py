import json
import math
from dataclasses import replace

import pytest
import torch

from histoxplain import InputError
from histoxplain.data import synthetic
from histoxplain.explain import Explanation, change_map, compare_explanation, compare_images


def test_fewer_nuclei(drawn, discs):
    places = discs(6, 5.0)
    found = compare_images(drawn(places), drawn(places[:24]))
    change = found["nuclei"]
    assert (change.before, change.after) == (36, 24)
    assert change.change == pytest.approx(-1 / 3)
    assert change.clear
    assert abs(found["nuclear_size"].change) < 0.02
    assert found.sentence().startswith("Nuclei 33 % fewer; haematoxylin in the tissue ")


def test_smaller_and_paler_nuclei(drawn, discs):
    found = compare_images(drawn(discs(5, 6.0)), drawn(discs(5, 5.0), dark=0.45))
    assert found["nuclei"].change == 0
    assert found["nuclear_size"].change == pytest.approx(25 / 36 - 1, abs=0.05)
    assert found["darkness"].change == pytest.approx(0.45 / 0.6 - 1, abs=0.03)
    assert found["nuclear_size"].clear
    assert found["darkness"].clear
    assert not found["nuclei"].clear


def test_turned_round_it_is_the_opposite(drawn, discs):
    a, b = drawn(discs(5, 6.0), hole=20), drawn(discs(4, 5.0))
    there, back = compare_images(a, b), compare_images(b, a)
    for one, other in zip(there.changes, back.changes):
        assert (one.before, one.after) == (other.after, other.before)


def test_the_same_image_did_not_change():
    image = synthetic.tissue(1, 128, seed=3, share=1)[0].image
    for other in (image, image.flip(-1)):
        found = compare_images(image, other)
        assert not any(change.clear for change in found.changes)
        assert found.sentence() == "Nothing measured here changed by more than the noise of measuring."


def test_another_stain_is_not_another_nucleus():
    for case in synthetic.tissue(3, 128, seed=2, share=1):
        found = compare_images(case.image, synthetic.repaint(case, stain=case.meta["stain"] - 0.3).image)
        assert found["haematoxylin"].change < -0.05
        assert found["eosin"].change > 0.05
        assert found["darkness"].clear
        assert abs(found["nuclei"].change) < 0.04
        assert not found["nuclear_size"].clear


def test_appearing_and_vanishing(drawn, discs):
    without, with_nuclei = drawn([]), drawn(discs(4, 5.0))
    found = compare_images(without, with_nuclei)
    assert (found["nuclei"].before, found["nuclei"].after) == (0, 16)
    assert math.isnan(found["nuclei"].change)
    assert not found["nuclei"].clear
    assert "Before: no nuclei." in found.sentence()
    assert compare_images(with_nuclei, without)["nuclei"].change == -1
    json.dumps(found.to_dict(), allow_nan=False)


def test_grey_images(rng):
    grey = torch.rand(1, 32, 32, generator=rng) - 0.5
    found = compare_images(grey, 0.5 * grey)
    assert found.kind == "generic"
    assert found["spread"].change == pytest.approx(-0.5, abs=1e-5)
    assert found["edges"].change == pytest.approx(-0.5, abs=1e-5)
    assert "Grey levels 50 % less spread; edges 50 % weaker" in found.sentence()


@pytest.fixture
def explanation(drawn, discs):
    images = torch.stack([drawn(discs(4, 5.0)), drawn(discs(3, 5.0))])
    before = drawn(discs(5, 5.0))
    return Explanation(
        method="latent",
        case_id="a",
        original=drawn(discs(6, 5.0)),
        reconstruction=before,
        counterfactuals=images,
        class_names=("benign", "other"),
        source_class=0,
        target_class=1,
        probabilities_before=torch.tensor([0.9, 0.1]),
        probabilities_after=torch.tensor([[0.2, 0.8], [0.4, 0.6]]),
        valid=torch.tensor([True, True]),
        change=change_map(before, images),
    )


def test_explanations_start_from_the_reconstruction(explanation):
    first, second = compare_explanation(explanation)
    assert [first["nuclei"].before, first["nuclei"].after, second["nuclei"].after] == [25, 16, 9]
    assert first.against == second.against == "reconstruction"
    assert first.before.yardstick == second.after.yardstick
    other = compare_explanation(explanation, against="original")
    assert (other[0]["nuclei"].before, other[0].against) == (36, "original")
    assert compare_explanation(replace(explanation, reconstruction=None))[0].against == "original"


def test_nothing_found_is_nothing_to_compare(explanation):
    none = {n: getattr(explanation, n)[:0] for n in ("counterfactuals", "probabilities_after", "valid", "change")}
    assert compare_explanation(replace(explanation, **none)) == []


def test_rows_and_dictionary(drawn, discs):
    found = compare_images(drawn(discs(5, 5.0)), drawn(discs(4, 5.0)), microns=0.5)
    row = found.rows()[0]
    assert list(row) == ["name", "label", "unit", "before", "after", "change", "noise", "clear"]
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["changes"][0]["after"] == 16


def test_bad_input(explanation):
    with pytest.raises(InputError, match="shape"):
        compare_images(torch.zeros(3, 32, 32), torch.zeros(3, 32, 16))
    with pytest.raises(InputError, match="against"):
        compare_explanation(explanation, against="nothing")
