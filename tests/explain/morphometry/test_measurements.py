import json
import math

import numpy as np
import pytest
import torch

from histoxplain import InputError
from histoxplain.explain import measure_image, yardstick_for
from histoxplain.explain.morphometry import GENERIC, TISSUE


def test_every_number_of_drawn_tissue(drawn, discs):
    found = measure_image(drawn([(x, y * 0.75, a, b) for x, y, a, b in discs(5, 5.0)], hole=32))
    area, field = np.pi * 25, 128 * 128
    assert found.kind == "h&e"
    assert found["nuclei"] == 25
    assert found["density"] == pytest.approx(25 / field * 1e6)
    assert found["nuclear_size"] == pytest.approx(area, rel=0.1)
    assert found["nuclear_share"] == pytest.approx(25 * area / field, rel=0.1)
    assert found["darkness"] == pytest.approx(0.6, rel=0.1)
    assert found["white"] == pytest.approx(0.25, abs=0.001)
    assert found["haematoxylin"] == pytest.approx(0.05 + 0.55 * 25 * area / (0.75 * field), rel=0.03)
    assert found["eosin"] == pytest.approx(0.3, rel=0.03)
    assert list(found.values) == [measure.name for measure in TISSUE]


def test_scale_gives_square_microns(drawn, discs):
    image = drawn(discs(4, 5.0))
    plain, scaled = measure_image(image), measure_image(image, microns=0.5)
    assert scaled["nuclear_size"] == pytest.approx(plain["nuclear_size"] / 4)
    assert scaled["density"] == pytest.approx(16 / (128 * 0.5e-3) ** 2)
    units = {row["name"]: row["unit"] for row in scaled.rows()}
    assert (units["density"], units["nuclear_size"]) == ("per mm²", "µm²")


def test_nuclei_at_the_border_count_half_in_the_density(drawn, discs):
    found = measure_image(drawn([*discs(3, 6.0), (0, 40, 6, 6), (90, 127, 6, 6)]))
    assert found["nuclei"] == 11
    assert found["density"] == pytest.approx(10 / 128**2 * 1e6)
    assert found["nuclear_size"] == pytest.approx(np.pi * 36, rel=0.1)


def test_says_what_it_could_not_measure(drawn, discs):
    blank = measure_image(torch.ones(3, 32, 32), kind="h&e")
    assert blank.notes == ("no nuclei", "there is hardly any tissue")
    assert (blank["nuclei"], blank["white"]) == (0, 1)
    assert all(math.isnan(blank[name]) for name in ("nuclear_size", "darkness", "haematoxylin", "eosin"))
    tiny = measure_image(drawn(discs(20, 1.1)))
    assert math.isnan(tiny["nuclei"])
    assert "too small" in tiny.notes[0]
    content = json.loads(json.dumps(tiny.to_dict(), allow_nan=False))
    assert content["values"]["nuclei"] is None
    assert content["notes"] == list(tiny.notes)


def test_generic_numbers_of_a_chessboard():
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 2.0 - 1
    found = measure_image(board[None])
    assert found.kind == "generic"
    assert list(found.values) == [measure.name for measure in GENERIC]
    assert found["brightness"] == found["spread"] == 0.5
    assert found["entropy"] == 1
    assert found["contrast"] == pytest.approx(31**2 / 2)  # neighbours differ by 31 levels, diagonal ones not at all
    assert found["homogeneity"] == pytest.approx((1 + 1 / (1 + 31**2)) / 2)


def test_edges_of_a_ramp():
    ramp = torch.linspace(-1, 1, 33).expand(1, 33, 33)
    assert measure_image(ramp)["edges"] == pytest.approx(
        2 / 32 / np.sqrt(2) * 32 / 33
    )  # half of it in both outer columns
    flat = measure_image(torch.zeros(1, 33, 33))
    assert (flat["edges"], flat["entropy"], flat["contrast"], flat["homogeneity"]) == (0, 0, 0, 1)


def test_kind_can_be_chosen(drawn):
    image = drawn([])
    assert measure_image(image).kind == "h&e"
    assert measure_image(image, kind="generic").kind == "generic"
    assert measure_image(image, yardstick=yardstick_for([image], "generic")).kind == "generic"


def test_bad_scale():
    with pytest.raises(InputError, match="microns"):
        measure_image(torch.zeros(1, 32, 32), microns=0)
