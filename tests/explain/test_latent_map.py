import warnings

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from histoxplain import InputError
from histoxplain.explain import LatentMap, clusters, latent_map, map_latents


@pytest.fixture(scope="module")
def latents(bundle):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba compiles umap on first use
        return map_latents(bundle, count=24, seed=3, batch=7)


def test_one_entry_a_latent(latents, bundle):
    assert len(latents) == 24
    assert latents.labels.tolist() == [0, 1, 2] * 8
    assert (latents.points.shape, tuple(latents.logits.shape)) == ((24, 2), (24, 3))
    assert np.abs(latents.points).max() == pytest.approx(1)
    assert_close(latents.w, bundle.generator.mapping(latents.z, torch.eye(3)[latents.labels])[:, 0])
    assert_close(latents.probabilities.sum(1), torch.ones(24))


def test_same_seed_same_map(latents, bundle):
    again = map_latents(bundle, count=24, seed=3)
    assert torch.equal(again.z, latents.z)
    assert np.array_equal(again.points, latents.points)
    assert torch.equal(again.logits.argmax(1), latents.logits.argmax(1))


def test_neighbours_stay_neighbours():
    clusters = torch.randn(40, 8, generator=torch.Generator().manual_seed(0)) * 0.1
    clusters[20:] += 5
    points = latent_map.umap(clusters)
    a, b = points[:20], points[20:]
    assert np.linalg.norm(a.mean(0) - b.mean(0)) > 2 * max(a.std(), b.std())


def test_torch_keeps_its_threads():
    threads = torch.get_num_threads()
    latent_map.umap(torch.randn(8, 3))
    assert torch.get_num_threads() == threads


def test_locates_points_at_their_place_and_others_in_between():
    corners = np.array([[-1.0, 0.0], [1.0, 0.0]])
    w = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    latents = LatentMap(torch.zeros(2, 1), w, torch.tensor([0, 1]), torch.zeros(2, 2), corners, ("a", "b"))
    assert latents.locate(w[1]) == pytest.approx((1, 0), abs=1e-5)
    assert latents.locate(torch.tensor([1.0, 0.0])) == pytest.approx((0, 0), abs=1e-6)
    tiny = LatentMap(latents.z, w * 1e-4, latents.labels, latents.logits, corners, ("a", "b"))
    assert tiny.locate(tiny.w[1]) == pytest.approx((1, 0), abs=1e-5)


@pytest.mark.parametrize("options", [{"count": 3}, {"count": 10, "truncation": -1}])
def test_says_what_is_wrong(bundle, options):
    with pytest.raises(InputError, match="must lie in"):
        map_latents(bundle, **options)
    with pytest.raises(InputError, match="at least 4 latents"):
        latent_map.umap(torch.zeros(3, 2))


def test_says_how_to_install_umap(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match=r'pip install "histoxplain\[notebook\]"'):
        latent_map.umap(torch.zeros(8, 2))


def test_clusters_are_found_and_numbered_by_size():
    centres = torch.tensor([0, 0, 1, 2, 2, 2])
    w = 100.0 * torch.eye(3)[centres] + torch.rand(6, 3, generator=torch.Generator().manual_seed(0))
    known = LatentMap(torch.zeros(6, 2), w, centres, torch.zeros(6, 3), np.zeros((6, 2)), ("a", "b", "c"))
    assert clusters(known, 3).tolist() == [1, 1, 2, 0, 0, 0]
    assert len(clusters(known, 9).unique()) == 6
    with pytest.raises(InputError, match="`count` must be at least 1"):
        clusters(known, 0)
