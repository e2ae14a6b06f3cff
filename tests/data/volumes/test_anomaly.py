"""The blob has a closed form; the texture keeps the mean; both stay in the organ and come back by their seed."""

from dataclasses import replace

import numpy as np
import pytest

from histoxplain import InputError
from histoxplain.data.volumes.anomaly import ANOMALIES, Anomaly, add_anomaly


@pytest.fixture
def organ():
    rows, columns = np.indices((128, 128))
    return np.hypot(rows - 70, (columns - 50) / 1.5) < 20


@pytest.mark.parametrize("resolution", [64, 128, 256])
def test_blob_is_coins_gaussian(resolution):
    greys = np.full((resolution, resolution), -0.2, dtype=np.float32)
    found, mask = add_anomaly(greys, np.ones(greys.shape, dtype=bool), seed=3)
    centre = np.unravel_index(found.argmax(), found.shape)
    rows, columns = (np.arange(resolution) - at for at in centre)
    half = 10 * resolution / 256  # size 20 px at 256 px, its square from -1 to 1
    u, v = rows[:, None] / half, columns[None] / half
    gauss = np.exp(-(u**2 + v**2) / (2 * 0.4**2)) * ((abs(u) <= 1) & (abs(v) <= 1))
    assert np.allclose(found, -0.2 + 0.9 * gauss * 1.2, atol=1e-5)
    assert np.array_equal(mask, gauss >= 0.25)
    area = np.pi * (0.4 * half) ** 2 * -2 * np.log(0.25)
    assert abs(mask.sum() - area) < 0.25 * area


def test_blob_keeps_its_whole_mask_in_the_organ_and_reaches_everywhere(organ):
    greys = np.zeros(organ.shape)
    seen = np.zeros(organ.shape, dtype=int)
    for seed in range(150):
        mask = add_anomaly(greys, organ, seed)[1]
        assert mask.any()
        assert not (mask & ~organ).any()
        seen += mask
    assert (seen > 0).sum() > 0.75 * organ.sum()


def test_texture_changes_grain_but_not_brightness(organ):
    greys = np.where(organ, 0.1, -0.5).astype(np.float32)
    contrasts, means = [], []
    for seed in range(20):
        found, mask = add_anomaly(greys, organ, seed, "texture")
        assert not (mask & ~organ).any()
        assert np.array_equal(found[~organ], greys[~organ])
        means.append(float(found[mask].mean()) - 0.1)
        contrasts.append(float(found[mask].std()))
        assert np.abs(found - greys)[~mask].sum() < 0.35 * np.abs(found - greys).sum()
    assert abs(np.mean(means)) < 0.02 < 0.1 < np.mean(contrasts) < 0.25


@pytest.mark.parametrize("kind", ANOMALIES)
def test_same_seed_same_anomaly(organ, kind):
    greys = np.zeros(organ.shape)
    first, again, other = (add_anomaly(greys, organ, seed, kind) for seed in ((1, 2), (1, 2), (1, 3)))
    assert all(np.array_equal(a, b) for a, b in zip(first, again))
    assert not np.array_equal(first[1], other[1])


def test_varied_ones_are_smaller_and_fainter(organ):
    sizes, peaks, most = [], [], Anomaly(size=40)
    for seed in range(60):
        found, mask = add_anomaly(np.zeros(organ.shape), organ, seed, replace(most, vary=0.5))
        sizes.append(np.sqrt(mask.sum() / np.pi) / most.reach(128))
        peaks.append(float(found.max()) / most.alpha)
    assert 0.4 < min(sizes) < 0.6 < 0.9 < max(sizes) < 1.1
    assert 0.5 <= min(peaks) < 0.6 < 0.9 < max(peaks) <= 1
    assert abs(np.corrcoef(sizes, peaks)[0, 1]) < 0.4


@pytest.mark.parametrize("kind", ANOMALIES)
def test_no_room(kind):
    organ = np.zeros((64, 64), dtype=bool)
    assert add_anomaly(np.zeros((64, 64)), organ, 0, kind) is None
    organ[20:22, 20:50] = True
    assert add_anomaly(np.zeros((64, 64)), organ, 0, kind) is None


def test_odd_arguments(organ):
    with pytest.raises(InputError, match="be one of blob, texture"):
        add_anomaly(np.zeros(organ.shape), organ, 0, "bolb")
    with pytest.raises(InputError, match="slice's shape"):
        add_anomaly(np.zeros((8, 8)), organ)
    for odd in ({"size": 0}, {"alpha": 2}, {"edge": 1}, {"vary": 1}):
        with pytest.raises(InputError):
            Anomaly(**odd)
