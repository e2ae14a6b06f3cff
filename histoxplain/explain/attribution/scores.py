"""The number a map explains, and what an image is when nothing of it is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain._checks import check, check_between, check_one_of
from histoxplain.explain.opinion import lead, logits_of

SCORES = ("logit", "lead", "probability")
BLUR = 8


class Scores(nn.Module):
    """A classifier as attribution libraries want it: images `(N, C, H, W)` to one number a class, `(N, K)`.

    Args:
        classifier: a network that gives logits, or any callable that gives probabilities.
        score: "logit", of black boxes the logarithm of the probability; "lead", by how much the class leads all
            others (its log-odds), which is the same for a network and for a black box around it; or "probability".

    Example:
        >>> sure = Scores(lambda x: torch.tensor([[0.2, 0.8]]), "lead")
        >>> sure(torch.zeros(1, 3, 8, 8))[0, 1].exp().round(decimals=4).item()
        4.0
    """

    def __init__(self, classifier: Any, score: str = "logit") -> None:
        super().__init__()
        check_one_of("score", score, SCORES)
        self.classifier, self.score = classifier, score

    def forward(self, x: Tensor) -> Tensor:
        logits = logits_of(self.classifier, x, least=1)
        if self.score == "logit" or logits.shape[1] == 1:
            return logits
        if self.score == "probability":
            return logits.softmax(1)
        return torch.stack([lead(logits, k) for k in range(logits.shape[1])], 1)


@torch.no_grad()
def opinions(classifier: Any, x: Tensor) -> Tensor:
    """Probabilities `(N, K)`; of a network with a single output, that output `(N, 1)`."""
    return Scores(classifier, "probability")(x)


def baseline_of(x: Tensor, baseline: float | str | Tensor) -> Tensor:
    """What images are once everything in them is hidden.

    Args:
        x: images `(N, C, H, W)` in `[-1, 1]`.
        baseline: a brightness in `[-1, 1]` (-1 black, 0 mid-grey, 1 white), "mean" (each image's mean colour), "blur"
            (only an 8 x 8 impression is left), or an image.

    Returns:
        Of the shape of `x`.

    Raises:
        InputError: if it is none of these.

    Example:
        >>> baseline_of(torch.ones(1, 3, 2, 2), "mean").unique().item()
        1.0
    """
    if isinstance(baseline, Tensor):
        fits = baseline.shape[-3:] == x.shape[-3:] and baseline.ndim <= 4
        check(fits, "baseline", f"have the shape of the image, {tuple(x.shape[-3:])}", tuple(baseline.shape))
        return baseline.to(x).expand_as(x)
    if isinstance(baseline, str):
        check_one_of("baseline", baseline, ("blur", "mean"))
        few = F.adaptive_avg_pool2d(x, BLUR if baseline == "blur" else 1)
        return F.interpolate(few, size=x.shape[-2:], mode="bilinear", align_corners=False)
    check_between("baseline", float(baseline), -1.0, 1.0)
    return torch.full_like(x, float(baseline))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draws of torch and NumPy inside depend on `seed` alone; outside nothing is disturbed."""
    kept = np.random.get_state()  # noqa: NPY002  (captum draws from it)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            yield
    finally:
        np.random.set_state(kept)  # noqa: NPY002
