import numpy as np
import pytest
import torch
from skimage.measure import regionprops_table

from histoxplain import InputError
from histoxplain.data import synthetic
from histoxplain.explain import segment_nuclei, yardstick_for


@pytest.mark.parametrize(("n", "radius"), [(3, 8.0), (5, 5.0), (7, 4.0)])
def test_counts_discs_and_knows_their_area(drawn, discs, n, radius):
    nuclei = segment_nuclei(drawn(discs(n, radius)))
    assert len(nuclei) == n * n
    assert not nuclei.border.any()
    assert nuclei.area.mean() == pytest.approx(np.pi * radius**2, rel=0.2)  # soft rims count
    assert nuclei.area.std() < 0.05 * nuclei.area.mean()
    assert nuclei.eccentricity.max() < 0.45


@pytest.mark.parametrize("tall", [1.1, 1.2])
def test_eccentricity_of_ellipses(drawn, discs, tall):
    nuclei = segment_nuclei(drawn(discs(5, 6.0, tall=tall)))
    assert len(nuclei) == 25
    assert nuclei.eccentricity.mean() == pytest.approx(np.sqrt(1 - tall**-4), abs=0.05)


@pytest.mark.parametrize("apart", [1.5, 1.8])
def test_parts_touching_discs(drawn, apart):
    pairs = [(x + dx, y, 5, 5) for x in (20, 60, 100) for y in (20, 60, 100) for dx in (0, apart * 5)]
    assert len(segment_nuclei(drawn(pairs))) == 18


def test_pale_nuclei_beside_dark_ones(drawn, discs):
    pale, dark = drawn(discs(4, 6.0), dark=0.28), drawn(discs(4, 6.0), dark=0.7)
    half = torch.cat([pale[..., :64], dark[..., 64:]], -1)
    assert len(segment_nuclei(half)) == 16


def test_shapes_are_those_of_scikit_image():
    nuclei = segment_nuclei(synthetic.tissue(1, 128, seed=3, share=1)[0].image)
    theirs = regionprops_table(nuclei.labels, properties=("area", "eccentricity"))
    assert len(nuclei) > 50
    assert np.array_equal(nuclei.area * nuclei.zoom**2, theirs["area"])
    assert np.allclose(nuclei.eccentricity, theirs["eccentricity"], atol=1e-6)


def test_knows_what_the_border_cuts(drawn, discs):
    nuclei = segment_nuclei(drawn([*discs(3, 6.0), (0, 40, 6, 6), (90, 127, 6, 6)]))
    assert (len(nuclei), int(nuclei.border.sum())) == (11, 2)


def test_mirroring_changes_nothing_and_nothing_is_random():
    image = synthetic.tissue(1, 96, seed=8, share=1)[0].image
    rule = yardstick_for([image])
    first, again = segment_nuclei(image, rule), segment_nuclei(image, rule)
    assert np.array_equal(first.labels, again.labels)
    for view in (image.flip(-1), image.flip(-2), image.transpose(-2, -1)):
        other = segment_nuclei(view, rule)
        assert abs(len(other) - len(first)) <= 1
        assert other.area.sum() == pytest.approx(first.area.sum(), rel=0.005)


def test_nothing_where_there_is_nothing(stained):
    glass = torch.ones(3, 64, 64)
    plasm = stained(np.full((64, 64), 0.05), np.full((64, 64), 0.3))
    noise = plasm + 0.01 * torch.randn(plasm.shape, generator=torch.Generator().manual_seed(0))
    for image in (glass, plasm, noise, -glass):
        assert len(segment_nuclei(image)) == 0


def test_too_small_is_not_guessed(drawn, discs):
    assert len(segment_nuclei(drawn(discs(20, 1.1)))) == 0


def test_wants_colour(drawn):
    with pytest.raises(InputError, match="RGB"):
        segment_nuclei(torch.zeros(1, 32, 32))
    with pytest.raises(InputError, match="h&e"):
        segment_nuclei(drawn([]), yardstick_for([torch.zeros(1, 32, 32)]))
