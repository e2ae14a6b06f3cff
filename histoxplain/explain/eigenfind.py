"""The directions of W to which the generator's styles answer most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histoxplain._checks import check_at_least
from histoxplain.explain.directions import Directions, one_deviation
from histoxplain.explain.latent_space import device_of
from histoxplain.explain.style_sweep import searched_layers

if TYPE_CHECKING:
    from histoxplain.models import Generator


@torch.no_grad()
def style_weights(generator: Generator, layers: Sequence[str] | None = None) -> Tensor:
    """The weights by which styles depend on w, of several layers one below the other: `(channels, w_dim)`.

    Args:
        generator: its styles are affine functions of w, so that the unit vectors of W give their weights.
        layers: names of layers, see `Generator.styles`; None takes all convolutions but no torgb.
    """
    ws = torch.cat([torch.zeros(1, generator.w_dim), torch.eye(generator.w_dim)]).to(device_of(generator))
    s = generator.styles(ws[:, None].expand(-1, generator.num_ws, -1))
    rows = torch.cat([s[name] for name in searched_layers(s, layers)], 1)
    return (rows[1:] - rows[0]).T


def eigen_directions(weights: Tensor, w: Tensor, count: int = 20) -> Directions:
    """Right singular vectors of the style weights, the largest singular value first (SeFa, Shen and Zhou, 2021).

    The closed form of what changes styles most; nothing is drawn. The score is the share of the squared singular
    values. `guided_directions` then asks a classifier which of them lead to a class (EigenFind).

    Args:
        weights: of `style_weights`, `(channels, w_dim)`.
        w: latents, `(N, w_dim)`; they say how long a step is.
        count: how many at most.

    Example:
        >>> w = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> found = eigen_directions(torch.tensor([[0.0, 3.0], [1.0, 0.0], [0.0, 0.0]]), w)
        >>> found.names, [round(x, 2) for x in found.scores.tolist()], round(found[0].norm().item(), 2)
        (('eigen 1', 'eigen 2'), [0.9, 0.1], 0.82)
    """
    check_at_least("count", count, 1)
    _, values, axes = torch.linalg.svd(weights.double().cpu(), full_matrices=False)
    share = (values.square() / values.square().sum().clamp_min(1e-300)).float()
    count = min(count, len(axes))
    names = tuple(f"eigen {i + 1}" for i in range(count))
    w = w.cpu()
    return Directions(names, torch.stack([one_deviation(axis, w) for axis in axes[:count]]), share[:count], "eigen")
