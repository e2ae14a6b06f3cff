"""A flat map of the generator's latent space: many latents, what the classifier makes of them, and their UMAP."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from histoxplain._checks import check, check_at_least, check_between
from histoxplain._optional import require
from histoxplain.explain.images import quantised
from histoxplain.explain.latent_space import one_hot, sample_z
from histoxplain.models.bundle import check_part

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.models.bundle import Bundle


@dataclass(frozen=True, eq=False)
class LatentMap:
    """N latents and their places on a flat map.

    Attributes:
        z: noise, shape (N, z_dim).
        w: mapped latents, shape (N, w_dim).
        labels: the class asked for, shape (N,), integers.
        logits: the classifier's opinion of their images, shape (N, K).
        points: places on the map, shape (N, 2).
        class_names: the K classes.
        truncation: psi with which `w` was drawn.
    """

    z: Tensor
    w: Tensor
    labels: Tensor
    logits: Tensor
    points: np.ndarray
    class_names: tuple[str, ...]
    truncation: float = 1.0

    @property
    def probabilities(self) -> Tensor:
        """The classifier's probabilities, shape (N, K)."""
        return self.logits.softmax(1)

    def __len__(self) -> int:
        return len(self.z)

    def locate(self, w: Tensor, neighbours: int = 5) -> tuple[float, float]:
        """Where a latent of shape (w_dim,) falls on the map: between its nearest neighbours, the nearer the heavier."""
        distance = torch.linalg.vector_norm(self.w - w, dim=1)
        near = distance.topk(min(neighbours, len(self.w)), largest=False)
        weight = 1 / ((near.values / near.values.max().clamp_min(1e-12)) ** 2 + 1e-6)
        place = (weight / weight.sum()).numpy() @ self.points[near.indices.numpy()]
        return float(place[0]), float(place[1])


def clusters(latents: LatentMap, count: int = 6, seed: int = 0) -> Tensor:
    """Groups of latents that lie together in W, by k-means (Lloyd, 1982).

    Args:
        latents: the map.
        count: how many groups; no more than there are latents.
        seed: same seed, same groups.

    Returns:
        The group of each latent, (N,), numbered from 0, the largest first.

    Raises:
        InputError: if `count` is below 1.
    """
    from sklearn.cluster import KMeans

    check_at_least("count", count, 1)
    w = latents.w.float().cpu().numpy()
    found = torch.from_numpy(KMeans(min(count, len(w)), n_init=4, random_state=seed).fit_predict(w)).long()
    order = torch.bincount(found).argsort(descending=True, stable=True)
    return order.argsort()[found]


def umap(w: Tensor, neighbours: int | None = None, seed: int = 0) -> np.ndarray:
    """Lay latents out in the plane so that neighbours stay neighbours (UMAP; McInnes, Healy and Melville, 2018).

    Args:
        w: shape (N, D); N of at least 4.
        neighbours: how many neighbours of each latent count; more shows the coarse shape, fewer the details. By default
            a third of all: fewer would draw every class of a conditional generator as a dot far from the others.
        seed: same seed, same machine: same map.

    Returns:
        Places of shape (N, 2), centred, the farthest coordinate at 1.

    Raises:
        InputError: for fewer than 4 latents.
        ImportError: if umap-learn is not installed, with the command that installs it.
    """
    check(len(w) >= 4, "w", "hold at least 4 latents", len(w), "draw more of them")
    threads, neighbours = torch.get_num_threads(), neighbours or max(15, len(w) // 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow is not needed; one thread is meant: it makes the map repeatable
        method = require("umap", extra="notebook").UMAP(
            n_neighbors=min(neighbours, len(w) - 1), min_dist=0.9, n_jobs=1, random_state=seed, init="pca"
        )
        points = method.fit_transform(w.float().cpu().numpy())
    torch.set_num_threads(threads)  # numba, which umap is built on, changes it
    points = points - (points.max(0) + points.min(0)) / 2
    return points / np.abs(points).max()


@torch.no_grad()
def map_latents(bundle: Bundle, count: int = 450, truncation: float = 1.0, seed: int = 0, batch: int = 16) -> LatentMap:
    """Draw latents, the classes in turn, classify their images, and lay them out on a map.

    Args:
        bundle: generator and classifier.
        count: how many latents, 4 to 5000; the time goes into drawing and classifying their images.
        truncation: psi; below 1 the latents lie closer to the average.
        seed: same seed, same machine: same map.
        batch: images made at once.

    Raises:
        InputError: if `count` or `truncation` is out of range.
    """
    check_part(bundle, "generator", "a map of latents")
    check_between("count", count, 4, 5000)
    check_between("truncation", truncation, 0, 2)
    G, z = bundle.generator, sample_z(bundle.generator, count, seed)
    labels = torch.arange(count) % len(bundle.class_names)
    ws = G.mapping(z, one_hot(labels, G), truncation_psi=truncation)
    drawn = G.interactive(keep=False)
    images = (quantised(drawn.synthesis(some, noise_mode="const")) for some in ws.split(batch))
    logits = torch.cat([bundle.classifier(x).float().cpu() for x in images])
    w = ws[:, 0].float().cpu()
    return LatentMap(z, w, labels, logits, umap(w, seed=seed), tuple(bundle.class_names), truncation)
