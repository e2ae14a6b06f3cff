"""Directions of W between classes: across linear boundaries, and from mean to mean."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import torch
from torch import Tensor

from histoxplain._checks import check
from histoxplain.explain.directions import Directions, one_deviation


def _pattern(values: Tensor, w: Tensor) -> Tensor:
    """How `w` moves on average while `values` `(N,)` rises by one standard deviation."""
    values = values.double() - values.double().mean()
    return (values @ (w - w.mean(0)).double() / len(w) / values.std(unbiased=False).clamp_min(1e-12)).float()


def boundary_directions(w: Tensor, logits: Tensor, class_names: Sequence[str], alpha: float = 1.0) -> Directions:
    """Ways across linear boundaries: ridge regression of each class's lead over the mean of the others on W.

    After InterFaceGAN (Shen et al., 2020), with the classifier's logits in place of labels. The boundary's normal leads
    to where no latents are, so its pattern is taken (Haufe et al., On the Interpretation of Weight Vectors, 2014): how
    latents move on average while the fitted lead rises by one standard deviation.

    Args:
        w: latents, `(N, w_dim)`.
        logits: the classifier's opinion of their images, `(N, K)`.
        class_names: K names.
        alpha: ridge penalty, for latents scaled to unit variance.

    Example:
        >>> w = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> found = boundary_directions(w, torch.stack([w[:, 0], -w[:, 0]], 1), ["a", "b"])
        >>> [round(x, 4) for x in found["towards a"].abs().tolist()]
        [0.7071, 0.0]
    """
    from sklearn.linear_model import Ridge

    check(len(w) == len(logits) and len(w) > 1, "w", "have one row an image, at least 2", f"{len(w)} and {len(logits)}")
    centre, spread = w.mean(0), w.std(0).clamp_min(1e-8)
    inputs = ((w - centre) / spread).double().numpy()
    vectors, scores = [], []
    for k in range(len(class_names)):
        others = [j for j in range(len(class_names)) if j != k]
        lead = (logits[:, k] - logits[:, others].mean(1)).double().numpy()
        fit = Ridge(alpha=alpha).fit(inputs, lead)
        vectors.append(_pattern(torch.from_numpy(fit.predict(inputs)), w))
        scores.append(float(fit.score(inputs, lead)))
    names = tuple(f"towards {name}" for name in class_names)
    return Directions(names, torch.stack(vectors), torch.tensor(scores), "boundary")


def difference_directions(w: Tensor, labels: Tensor, class_names: Sequence[str]) -> Directions:
    """From one class's mean to another's, for every ordered pair; the score is the separation d' along it.

    Args:
        w: latents, `(N, w_dim)`.
        labels: their classes, `(N,)`.
        class_names: K names; classes without latents are left out.

    Example:
        >>> w = torch.tensor([[0.0, 0.1], [0.0, -0.1], [2.0, 0.1], [2.0, -0.1]])
        >>> difference_directions(w, torch.tensor([0, 0, 1, 1]), ["a", "b"]).names
        ('a to b', 'b to a')
    """
    present = [k for k in range(len(class_names)) if (labels == k).any()]
    check(len(present) > 1, "labels", "hold at least 2 classes", len(present))
    names, vectors, scores = [], [], []
    for a, b in permutations(present, 2):
        step = w[labels == b].mean(0) - w[labels == a].mean(0)
        along = [w[labels == k] @ (step / step.norm().clamp_min(1e-12)) for k in (a, b)]
        spread = torch.stack([x.var(unbiased=False) for x in along]).mean().sqrt().clamp_min(1e-6)
        names.append(f"{class_names[a]} to {class_names[b]}")
        vectors.append(one_deviation(step, w))
        scores.append(float((along[1].mean() - along[0].mean()) / spread))
    return Directions(tuple(names), torch.stack(vectors), torch.tensor(scores), "difference")
