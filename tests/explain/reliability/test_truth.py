"""The shipped reference against images that are not lung tissue; `pytest -rP` on this file prints the figures."""

import pytest
import torch
from PIL import Image

from histoxplain.data.transforms import from_picture, square, to_unit
from histoxplain.explain import PixelAscent, reliability
from histoxplain.explain.reliability.familiarity import distances, features_of
from histoxplain.explain.reliability.percentile import RARE, percentile
from histoxplain.models import load_bundle, load_reference
from histoxplain.models.bundle import find_bundle


@pytest.fixture(scope="module")
def reference():
    return load_reference(find_bundle("lung-histology") / "reference.safetensors")


def figures(name, x, reference):
    """Share of pairs with a held-out lung image in which this one is further away, and the share told to be strange."""
    found = [percentile(value, reference.distances) for value in distances(features_of(x), reference).tolist()]
    area, told = sum(found) / len(found) / 100, sum(value > RARE for value in found) / len(found)
    print(f"{name}: {len(x)} images, area under the ROC curve {area:.4f}, told to be strange {told:.2f}")
    return area, told


def tiles(folder, count):
    """`count` files from all over a folder, 128 px, RGB."""
    files = sorted(path for path in folder.rglob("*.*") if path.suffix in (".jpg", ".jpeg", ".png"))
    step = len(files) // count
    pictures = [Image.open(file).convert("RGB") for file in files[step // 2 :: step][:count]]
    return torch.stack([to_unit(square(from_picture(picture), 128)) for picture in pictures])


def test_colon_tissue(shared, reference):
    area, told = figures("colon tissue", tiles(shared / "data/colorectal_histology", 40), reference)
    assert area > 0.98
    assert told > 0.8


def test_chest_x_rays(shared, reference):
    assert figures("chest X-rays", tiles(shared / "data/chest_xray", 12), reference) == (1, 1)


def test_noise(reference, rng):
    area, told = figures("noise", torch.rand(12, 3, 128, 128, generator=rng) * 2 - 1, reference)
    assert area > 0.95
    assert told > 0.5


def test_an_adversarial_pattern_is_not_trusted(shared):
    """Gradient ascent on the pixels convinces the classifier, and nobody else."""
    bundle = load_bundle("lung-histology", device="cpu")
    (tile,) = tiles(shared / "data/lung_histology", 1)
    (found,) = PixelAscent(bundle).explain(tile)
    told = reliability(bundle, found)
    assert found.valid.all()
    assert told.trusted == [False]
    assert set(told["second_opinion"].doubtful) == set(told["stable"].doubtful) == {0}
    assert told.sentence().startswith("Do not trust this change: the second classifier calls it ")


def test_half_of_the_reference_is_nearer_than_the_median(reference):
    middle = float(reference.distances.median())
    assert percentile(middle, reference.distances) == pytest.approx(50, abs=0.2)
    assert reference.images == 2487
