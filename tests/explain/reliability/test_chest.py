"""The shipped reference of chest X-rays against other pictures; `pytest -rP` on this file prints the figures."""

import pytest
import torch
from PIL import Image

from histoxplain.data.transforms import from_picture, square, to_unit
from histoxplain.explain.reliability.familiarity import distances, features_of
from histoxplain.explain.reliability.percentile import RARE, percentile
from histoxplain.models import load_reference
from histoxplain.models.bundle import find_bundle
from tests.explain.attribution.test_chest import TEST_SPLIT


@pytest.fixture(scope="module")
def reference():
    return load_reference(find_bundle("chest-xray") / "reference.safetensors")


def places(name, x, reference):
    """Share of known X-rays that are nearer than each picture, in per cent."""
    found = [percentile(value, reference.distances) for value in distances(features_of(x), reference).tolist()]
    print(f"{name}: {len(x)} images, told to be strange {sum(value > RARE for value in found)}")
    return found


def grey(files):
    return torch.stack([to_unit(square(from_picture(Image.open(file).convert("L")), 128)) for file in files])


def test_x_rays_of_other_patients_are_familiar(shared, reference):
    folder = shared / "data/chest_xray"
    x = grey([folder / name / f"{number}.jpeg" for name, numbers in TEST_SPLIT.items() for number in numbers])
    assert max(places("chest X-rays", x, reference)) <= RARE


def test_tissue_in_grey_is_not(shared, reference):
    files = sorted((shared / "data/lung_histology").rglob("*.jpeg"))[::400]
    assert min(places("lung tissue in grey", grey(files), reference)) > RARE


def test_noise_and_stripes_are_not(reference, rng):
    stripes = torch.sin(torch.linspace(0, 60, 128)).expand(1, 1, 128, 128)
    x = torch.cat([torch.rand(3, 1, 128, 128, generator=rng) * 2 - 1, stripes])
    assert min(places("noise and stripes", x, reference)) > RARE
