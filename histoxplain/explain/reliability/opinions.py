"""A classifier's opinion as probabilities that can be relied on: finite, one a class, or a clear error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from histoxplain._checks import check
from histoxplain.explain.explainer import evaluating
from histoxplain.explain.views import moved


@torch.no_grad()
def probabilities_of(classifier: Any, x: Tensor, name: str = "classifier") -> Tensor:
    """Probabilities `(N, K)`, float32 on the CPU, of a network with `probabilities` or of any callable that gives them.

    Args:
        classifier: whom to ask.
        x: images, `(N, C, H, W)`.
        name: what to call it in messages.

    Raises:
        InputError: if any is not finite.
    """
    ask = getattr(classifier, "probabilities", classifier)
    found = torch.cat([ask(some).float().cpu() for some in x.split(32)])
    bad = int((~found.isfinite()).any(1).sum())
    check(not bad, name, "give finite probabilities", f"NaN or infinity for {bad} of {len(x)} images")
    return found


@contextmanager
def asking(*classifiers: Any) -> Iterator[None]:
    """Put those that are networks into evaluation mode; restored on leaving."""
    with evaluating(*(one for one in classifiers if isinstance(one, nn.Module))):
        yield


def device_of(classifier: Any) -> torch.device:
    """Where a classifier computes; the CPU for one that is just a callable."""
    weights = list(classifier.parameters())[:1] if isinstance(classifier, nn.Module) else []
    return weights[0].device if weights else torch.device("cpu")


def shifted(x: Tensor) -> dict[str, Tensor]:
    """Images `(N, C, H, W)` moved by one pixel, by the name of the direction."""
    steps = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
    return {f"shifted 1 pixel {name}": moved(x, 0, False, *step) for name, step in steps.items()}
