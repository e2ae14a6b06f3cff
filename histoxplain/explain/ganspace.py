"""The directions along which latents vary most."""

from __future__ import annotations

import torch
from torch import Tensor

from histoxplain._checks import check_at_least
from histoxplain.explain.directions import Directions, one_deviation
from histoxplain.explain.latent_space import principal_axes


def principal_directions(w: Tensor, count: int = 10) -> Directions:
    """Principal axes of W (GANSpace, Härkönen et al., 2020), the widest first; the score is the share of variance.

    Example:
        >>> w = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> round(principal_directions(w, 1).scores.item(), 2)
        0.9
    """
    check_at_least("count", count, 1)
    centred = w - w.mean(0)
    axes, _ = principal_axes(centred)
    share = (centred @ axes.T).var(0, unbiased=False)
    share = share / share.sum().clamp_min(1e-12)
    count = min(count, len(axes))
    names = tuple(f"axis {i + 1}" for i in range(count))
    return Directions(names, torch.stack([one_deviation(a, w) for a in axes[:count]]), share[:count], "principal")
