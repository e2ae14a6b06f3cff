"""How far counterfactuals are from real images of the class they claim to be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from histoxplain import metrics
from histoxplain.evaluation.questions import spread
from histoxplain.explain import image_of
from histoxplain.metrics import FeatureSet, Interval

if TYPE_CHECKING:
    from histoxplain.data import Source
    from histoxplain.models import Bundle

REAL_LIMIT = 500
"""Real images of the target classes that the Fréchet and kernel distances compare with, at most."""
DRAWS = 200
"""Drawings of the images for the intervals of these distances."""


def real_features_of(
    source: Source, bundle: Bundle, classes: Iterable[int], fit: bool = False, features: str | None = None
) -> FeatureSet | None:
    """Features of real images of the target classes; None where labels or images are too few.

    Args:
        source: where they come from, at most `REAL_LIMIT` of them.
        bundle: what they are brought to the size of.
        classes: numbers of the target classes.
        fit: crop, resize and convert images of another size or kind.
        features: see `metrics.feature_net`.
    """
    names = [bundle.class_names[k] for k in sorted(set(classes))]
    wanted = {source.class_names.index(name) for name in names if name in source.class_names}
    labels = source.labels.tolist()
    positions = [i for i, label in enumerate(labels) if label in wanted]
    positions = [positions[i] for i in spread([labels[i] for i in positions], REAL_LIMIT)]
    if len(positions) < 2:
        return None
    batches = (
        torch.stack([image_of(source[i], bundle, fit=fit) for i in positions[k : k + 32]])
        for k in range(0, len(positions), 32)
    )
    return metrics.gather_features(batches, metrics.feature_net(features or metrics.FEATURES), keep=REAL_LIMIT)


def distances(
    real: FeatureSet, fake: FeatureSet, owners: torch.Tensor, images: int, confidence: float, seed: int
) -> dict[str, Interval]:
    """Fréchet ("fid") and kernel distance ("kid"), with intervals of drawing images with all their counterfactuals.

    Args:
        real: features of real images.
        fake: features of M counterfactuals, all rows held.
        owners: which image each belongs to, `(M,)`.
        images: how many images there are.
        confidence: of the intervals.
        seed: fixes the draws.
    """
    once = torch.ones(1, len(fake))  # few images take eigenvalues of few numbers: exact, and far quicker
    values = float(metrics.drawn_frechet_distances(real, fake, once)), float(metrics.kernel_distance(real, fake))
    if len(owners.unique()) < 3:
        return dict(zip(("fid", "kid"), map(Interval, values)))
    weights = metrics.draw_weights(images, DRAWS, seed)[:, owners]
    weights = weights[weights.sum(1) > 0]
    drawn = [f(real, fake, weights) for f in (metrics.drawn_frechet_distances, metrics.drawn_kernel_distances)]
    fid, kid = (metrics.interval_about(v, d[d.isfinite()], confidence) for v, d in zip(values, drawn))
    return {"fid": Interval(fid.value, max(fid.low, 0.0), fid.high), "kid": kid}
