from time import process_time

import numpy as np
import pytest
import torch

from histoxplain import InputError
from histoxplain.data import Case, synthetic
from histoxplain.data.synthetic import Causes, repaint, tissue

SICK = Causes(crowding=0.9, nuclear_size=1.6, nuclear_darkness=0.8, extent=0.5)


def nuclei(image):
    """Dark blue pixels: nuclei, by colour alone."""
    red, _, blue = (image + 1) / 2
    return ((red < 0.55) & (blue > red)).float()


def test_cases_are_complete():
    cases = tissue(12, 32, seed=3)
    assert {case.label for case in cases} == {0, 1}
    for case in cases:
        assert case.image.shape == (3, 32, 32)
        assert case.image.abs().max() <= 1
        assert case.mask.dtype == torch.bool
        assert bool(case.mask.any()) == (case.label == 1) == (case.meta["extent"] > 0)
    assert len({case.id for case in cases}) == 12
    assert len(synthetic.CLASS_NAMES) == 2


def test_seeded_image_by_image():
    first, second = tissue(3, 32, seed=1), tissue(2, 32, seed=1)
    assert torch.equal(first[1].image, second[1].image)
    assert not torch.equal(first[0].image, first[1].image)
    assert not torch.equal(first[0].image, tissue(1, 32, seed=2)[0].image)


def test_same_tissue_at_any_resolution():
    for small, large in zip(tissue(4, 32, 5), tissue(4, 128, 5)):
        shrunk = torch.nn.functional.avg_pool2d(large.image[None], 4)[0]
        correlation = np.corrcoef(small.image.flatten(), shrunk.flatten())[0, 1]
        assert correlation > 0.9
        assert small.meta == large.meta
        assert (small.mask.float().mean() - large.mask.float().mean()).abs() < 0.06


@pytest.mark.parametrize("resolution", [48, 96])
def test_disease_changes_its_mask_and_nothing_else(resolution):
    for case in tissue(6, resolution, 7, causes=SICK):
        healed = repaint(case, extent=0)
        changed = (case.image != healed.image).any(0)
        assert not changed[~case.mask].any()
        assert changed[case.mask].float().mean() > 0.5
        assert healed.label == 0
        assert not healed.mask.any()
        assert torch.equal(repaint(healed, extent=SICK.extent).image, case.image)


def test_extent_is_the_share_of_tissue():
    shares = [np.mean([c.mask.float().mean() for c in tissue(12, 24, causes=Causes(extent=e))]) for e in (0.2, 0.5, 1)]
    assert shares[0] < 0.4 < shares[1] < 0.75 < shares[2] == 1


@pytest.mark.parametrize(
    ("cause", "low", "high"), [("crowding", 0.1, 1), ("nuclear_size", 1, 1.8), ("nuclear_darkness", 0.4, 0.9)]
)
def test_each_cause_of_disease_shows_in_the_mask(cause, low, high):
    pairs = []
    for case in tissue(8, 64, 11, causes=SICK):
        less, more = repaint(case, **{cause: low}), repaint(case, **{cause: high})
        assert torch.equal(less.mask, more.mask)
        pairs.append([nuclei(c.image)[c.mask].mean() for c in (less, more)])
    less, more = np.mean(pairs, 0)
    assert more > less + 0.02


def test_stain_turns_pink_to_blue_everywhere():
    for case in tissue(3, 32, 13, causes=SICK):
        pink, blue = repaint(case, stain=-1), repaint(case, stain=1)
        ratio = [(c.image[2] + 1).mean() / (c.image[0] + 1).mean() for c in (pink, blue)]
        assert ratio[1] > ratio[0] + 0.1
        assert torch.equal(pink.mask, blue.mask)


def test_stain_does_not_give_the_class_away():
    cases = tissue(100, 8, 17)
    stain = np.array([case.meta["stain"] for case in cases])
    label = np.array([case.label for case in cases])
    assert abs(np.corrcoef(stain, label)[0, 1]) < 0.3
    assert 0.3 < label.mean() < 0.7


def test_bad_input():
    for wrong in [{"n": -1}, {"n": 1, "resolution": 4}, {"n": 1, "share": 2}]:
        with pytest.raises(InputError):
            tissue(**wrong)
    with pytest.raises(InputError, match="crowding"):
        Causes(crowding=2)
    with pytest.raises(InputError, match="synthetic"):
        repaint(Case(torch.zeros(3, 8, 8)))


def test_thousands_a_minute():
    tissue(2)
    start = process_time()
    tissue(20, 64)
    assert 20 / (process_time() - start) * 60 > 1000


def test_extent_bounds_the_diseased_share():
    local = tissue(6, 32, seed=4, share=1, extent=(0.05, 0.2))
    assert all(0.05 <= case.meta["extent"] <= 0.2 for case in local)
    assert max(case.mask.float().mean() for case in local) < 0.5
    same = [case.meta["crowding"] for case in tissue(6, 32, seed=4, share=1)]
    assert same == [case.meta["crowding"] for case in local]  # nothing else is drawn otherwise
    with pytest.raises(InputError, match="`extent` must be two shares"):
        tissue(1, 32, extent=(0.5, 0.2))
