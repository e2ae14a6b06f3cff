"""A classifier's opinion of images as numbers that can be compared: logits, and how far they lead for one class."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from histoxplain._checks import check
from histoxplain.explain.explainer import check_fit as check_fit
from histoxplain.explain.explainer import class_index, evaluating

if TYPE_CHECKING:
    from histoxplain.models import Bundle

Opinion = Callable[[Tensor], Tensor]
"""Images `(N, C, H, W)` in `[-1, 1]` to logits `(N, K)`."""


def logits_of(classifier: Any, x: Tensor, least: int = 2) -> Tensor:
    """Logits `(N, K)`, float32, of a network; of any other callable, which gives probabilities, their logarithm.

    A single number an image, where `least` allows it, is taken as it is.

    Raises:
        InputError: if they are not finite, or are not K >= `least` numbers an image.

    Example:
        >>> half = lambda x: torch.full((len(x), 2), 0.5)
        >>> logits_of(half, torch.zeros(1, 3, 8, 8)).tolist()
        [[-0.6931471824645996, -0.6931471824645996]]
    """
    found = classifier(x)
    ok = isinstance(found, Tensor) and found.ndim == 2 and len(found) == len(x) and found.shape[1] >= least
    got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    check(ok, "classifier", f"give ({len(x)}, K) numbers with K at least {least}", got)
    found = found.float()
    if not isinstance(classifier, nn.Module) and found.shape[1] > 1:
        found = found.clamp_min(1e-7).log()  # keeps NaN
    bad = int((~found.isfinite()).any(1).sum())
    check(not bad, "classifier", "give finite numbers", f"NaN or infinity for {bad} of {len(x)} images")
    return found


def lead(logits: Tensor, target: int, source: int | None = None) -> Tensor:
    """How clearly the classifier says `target`: the log-odds of its probability, or of it against `source` alone.

    Between two classes this is the difference of their logits. Nothing changes when the same is added to all logits,
    so it means the same for networks and for black boxes that give probabilities.

    Args:
        logits: `(..., K)`.
        target: a class.
        source: another; None compares with all others together.

    Returns:
        `(...)`.

    Example:
        >>> p = torch.tensor([0.5, 0.25, 0.25])
        >>> lead(p.log(), 0).item(), lead(p.log(), 0, 1).exp().item()
        (0.0, 2.0)
    """
    if source is not None:
        return logits[..., target] - logits[..., source]
    return logits[..., target] - torch.cat([logits[..., :target], logits[..., target + 1 :]], -1).logsumexp(-1)


def class_pair(bundle: Bundle, target: int | str, source: int | str | None) -> tuple[int, int | None]:
    """Target and source as numbers.

    Raises:
        InputError: if there is no such class, or they are the same.
    """
    names = bundle.class_names
    to = class_index(target, names)
    start = None if source is None else class_index(source, names, "source")
    check(to != start, "target", "be another class than `source`", repr(target), "choose two different classes")
    return to, start


def quiet(bundle: Bundle) -> AbstractContextManager[None]:
    """The bundle's networks in evaluation mode; a classifier that is just a callable is left alone."""
    both = bundle.generator, bundle.classifier
    return evaluating(*(one for one in both if isinstance(one, nn.Module)))
