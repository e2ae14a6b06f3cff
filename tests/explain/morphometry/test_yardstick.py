import math

import numpy as np
import pytest
import torch

from histoxplain import InputError
from histoxplain.data import synthetic
from histoxplain.explain import kind_of, yardstick_for


def test_kind_by_colour(rng):
    assert all(kind_of(case.image) == "h&e" for case in synthetic.tissue(6, 32, seed=1))
    photograph = torch.tensor([-0.4, 0.3, -0.2])[:, None, None] + 0.2 * torch.randn(3, 32, 32, generator=rng)
    grey = torch.rand(1, 32, 32, generator=rng) * 2 - 1
    for image in (photograph, grey, grey.expand(3, -1, -1), torch.ones(3, 32, 32)):
        assert kind_of(image) == "generic"


@pytest.mark.parametrize("radius", [3.0, 5.0, 7.0])
def test_radius_of_discs(drawn, discs, radius):
    assert yardstick_for([drawn(discs(5, radius))]).radius == pytest.approx(radius, rel=0.2)


def test_radius_grows_with_the_image():
    small, large = (yardstick_for([synthetic.tissue(1, side, seed=3, share=1)[0].image]).radius for side in (96, 192))
    assert large / small == pytest.approx(2, rel=0.2)


def test_thresholds_stay_sane(drawn, stained):
    pale = stained(np.linspace(0, 0.02, 1024).reshape(32, 32), np.full((32, 32), 0.3))
    assert yardstick_for([pale]).nuclear == pytest.approx(0.12)
    assert math.isnan(yardstick_for([pale]).radius)
    assert 0.2 < yardstick_for([drawn([(64, 64, 20, 20)])]).nuclear < 0.45


def test_all_images_count_and_order_does_not(drawn, discs):
    a, b = drawn(discs(4, 5.0), dark=0.3), drawn(discs(4, 5.0), dark=0.8)
    one, other = yardstick_for([a, b]), yardstick_for([b, a])
    assert one == other
    assert yardstick_for([a]).nuclear < one.nuclear


def test_a_known_diameter_is_taken(drawn):
    assert yardstick_for([drawn([])], diameter=9).radius == 4.5


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        ([], {}, "at least one"),
        ([torch.zeros(1, 32, 32)], {"kind": "h&e"}, "RGB"),
        ([torch.zeros(1, 32, 32)], {"kind": "he"}, "kind"),
        ([torch.zeros(2, 32, 32)], {}, "grey or RGB"),
        ([torch.zeros(1, 3, 32, 32)], {}, "batch"),
        ([torch.zeros(3, 32, 8)], {}, "at least 16"),
        ([torch.full((3, 32, 32), torch.nan)], {}, "finite"),
        ([torch.zeros(3, 32, 32, dtype=torch.uint8)], {}, "floating"),
        ([torch.zeros(3, 32, 32)], {"kind": "h&e", "diameter": -1}, "positive"),
    ],
)
def test_bad_input(images, options, message):
    with pytest.raises(InputError, match=message):
        yardstick_for(images, **options)
