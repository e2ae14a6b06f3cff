import numpy as np
import pytest
import torch

from histoxplain import InputError
from histoxplain.data import Case
from histoxplain.data.synthetic import Causes, repaint, tissue, truth
from histoxplain.data.synthetic.paint import EOSIN, HAEMATOXYLIN

PLAIN = Causes()


def test_light_through_the_truth_is_the_image():
    case = tissue(1, 128, seed=4, causes=PLAIN)[0]
    known = truth(case)
    density = known.haematoxylin[..., None] * HAEMATOXYLIN + known.eosin[..., None] * EOSIN + 0.025 / np.log(10)
    image = ((case.image + 1) / 2).permute(1, 2, 0).numpy()
    assert np.abs(10**-density - image).mean() < 0.008  # the camera's noise is 0.006


def test_nuclei_are_numbered_and_dark():
    for case in tissue(3, 96, seed=5):
        known = truth(case)
        assert np.unique(known.nuclei).tolist() == list(range(known.count + 1))
        inside = known.nuclei > 0
        assert known.haematoxylin[inside].mean() > 2 * known.haematoxylin[~inside].mean()


def test_size_is_the_cause():
    case = tissue(1, 192, seed=6, causes=Causes(extent=1, nuclear_size=1, crowding=0.8))[0]
    areas = [np.bincount(truth(c).nuclei.ravel())[1:] for c in (case, repaint(case, nuclear_size=2))]
    largest = [np.quantile(a, 0.75) for a in areas]  # spindle cells of the stroma keep their size
    assert 2.5 < largest[1] / largest[0] < 4.5
    assert len(areas[1]) < len(areas[0])


def test_stain_moves_no_nucleus():
    case = tissue(1, 64, seed=7)[0]
    pink, blue = (truth(repaint(case, stain=s)) for s in (-1, 1))
    assert np.array_equal(pink.nuclei, blue.nuclei)
    assert np.allclose(blue.haematoxylin / pink.haematoxylin, np.exp(0.6))


def test_only_of_synthetic_tissue():
    with pytest.raises(InputError, match="synthetic"):
        truth(Case(torch.zeros(3, 16, 16)))
