"""The encoder of the bundle lung-histology keeps the classifier's opinion and knows where things lie."""

from itertools import permutations

import pytest
import torch
from torch.nn import functional as F

import histoxplain as hx
from histoxplain.explain import draw, image_of, invert, one_hot, quantised, sample_z

TEST_SPLIT = {
    "adenocarcinoma/lungaca": (1010, 1704, 2231, 2657, 3247, 3764, 4424, 537),
    "benign/lungn": (1, 1373, 18, 2335, 2865, 3379, 3942, 4772),
    "squamous/lungscc": (1014, 1496, 2016, 2417, 3013, 3756, 4218, 4639),
}
"""Tiles of the split that nothing was trained on."""


@pytest.fixture(scope="module")
def lung():
    return hx.load_bundle("lung-histology", device="cpu")


@pytest.fixture(scope="module")
def real(lung, shared):
    folder = shared / "data/lung_histology"
    files = [folder / f"{name}{number}.jpeg" for name, numbers in TEST_SPLIT.items() for number in numbers]
    return torch.stack([image_of(file, lung) for file in files])


@pytest.fixture(scope="module")
def generated(lung):
    labels = torch.arange(24) % 3
    G = lung.generator
    ws = G.mapping(sample_z(G, 24, 5), one_hot(labels, G))
    return quantised(draw(G, ws))


@pytest.mark.parametrize("kind", ["generated", "real"])
def test_keeps_the_opinion_without_a_step(lung, kind, request):
    """Required are 90 % of all test tiles; so few may hold three of the others."""
    found = invert(lung, request.getfixturevalue(kind), steps=0)
    assert int(found.agrees.sum()) >= 21


def test_keeps_the_opinion_with_a_few_steps(lung, real):
    assert int(invert(lung, real[::2]).agrees.sum()) >= 11


def test_nuclei_are_where_they_were(lung, real):
    """A reconstruction is dark where its own original is, more than where any other of its class is."""
    found = invert(lung, real, steps=0).images

    def darkness(x):
        grey = F.avg_pool2d(x.mean(1, keepdim=True), 4).flatten(1)
        return F.normalize(grey - grey.mean(1, keepdim=True), dim=1)

    alike = darkness(real) @ darkness(found).T
    own = alike.diagonal()
    others = torch.stack([alike[a, b] for k in range(0, 24, 8) for a, b in permutations(range(k, k + 8), 2)])
    assert own.min() > others.max()
    assert own.mean() > 0.7
