"""Does a map show what a network has learned? Then it must change once the network has forgotten it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from histoxplain.metrics.faithfulness import rank_correlation


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """A copy of a network that has forgotten everything: the numbers of each of its weights in random order.

    Their sizes stay as they were, so that what flows through it stays in range.

    Args:
        network: any network; it is left as it is.
        seed: fixes the order.

    Example:
        >>> layer = nn.Linear(50, 1)
        >>> other = randomised(layer)
        >>> bool((other.weight != layer.weight).any()), bool((other.weight.sum() - layer.weight.sum()).abs() < 1e-5)
        (True, True)
    """
    other, rng = deepcopy(network), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in other.parameters():
            order = torch.randperm(weight.numel(), generator=rng).to(weight.device)
            weight.copy_(weight.flatten()[order].reshape(weight.shape))
    return other


def sanity_check(
    explain: Callable[[nn.Module], Tensor], network: nn.Module, seeds: Sequence[int] = (0, 1, 2)
) -> list[float]:
    """How much a map still looks the same once the network has forgotten everything (Adebayo et al., 2018).

    A method whose map hardly changes shows the image, not what the network made of it.

    Args:
        explain: a network to its map `(H, W)`, of one image and one class:
            `lambda network: hx.explain.attribute(network, image, "grad-cam", target=1).map`.
        network: the trained one.
        seeds: one random network each.

    Returns:
        The rank correlation of its map with that of each random network: near 0 is good, near 1 is a warning.

    Example:
        >>> sanity_check(lambda network: torch.arange(4.0), nn.Linear(2, 2))
        [1.0, 1.0, 1.0]
    """
    true = explain(network)
    return [round(rank_correlation(true, explain(randomised(network, seed))), 4) for seed in seeds]
