"""The masks that attribution maps make at their best: at the threshold, and of the layer, that suit true masks most."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from histoxplain import metrics
from histoxplain.explain import ATTRIBUTIONS, attribute, spatial_layers

LEVELS = 50
"""Thresholds that are tried."""
LARGEST = 32
"""Layers with maps of more pixels across are not tried."""


def best_of_layers(
    bundle: Any, x: Tensor, truth: Tensor, method: str, target: list[int], seed: int = 0, **options: Any
) -> tuple[dict[str, Tensor], str]:
    """The scores of an attribution method's masks at their best threshold and layer, and these in words.

    What speaks against the class `target` counts as nothing.
    """
    tried = []
    layers = layers_by_size(bundle.classifier, x[0]) if ATTRIBUTIONS[method].layer else [None]
    for layer in layers:
        more = {} if layer is None else {"layer": layer}
        found = attribute(bundle, list(x), method, target=target, seed=seed, **options, **more)
        masks, said = best_masks(torch.stack([one.map for one in found]).clamp(min=0), truth)
        tried.append((metrics.segmentation_scores(masks, truth), said if layer is None else f"{said}, {layer}"))
    return max(tried, key=lambda one: float(one[0]["iou"].mean()))


def layers_by_size(classifier: Any, x: Tensor) -> list[str]:
    """The last layer of each size of map, of 2 to 32 pixels across."""
    found = {shape[-1]: name for name, shape in spatial_layers(classifier, x).items()}
    return [name for side, name in found.items() if 2 <= side <= LARGEST]


def best_masks(maps: Tensor, truth: Tensor) -> tuple[Tensor, str]:
    """The masks of maps at the one threshold of highest mean IoU, and that threshold in words.

    Args:
        maps: `(N, H, W)`, 0 or more.
        truth: boolean, of the same shape.

    Example:
        >>> maps = torch.tensor([[[0.0, 3.0, 4.0]], [[0.0, 0.0, 2.0]]])
        >>> best_masks(maps, maps > 1)[1]
        'above .00 of the peak'
    """
    shares = [level / LEVELS for level in range(LEVELS)]
    flat = maps.flatten(1).double()
    peaks = maps / flat.amax(1).clamp(min=1e-12)[:, None, None]
    ranks = flat.argsort(1).argsort(1).reshape(maps.shape) / flat.shape[1]
    ways = [(peaks, share, f"above {share:.2f} of the peak") for share in shares]
    ways += [(ranks, 1 - share, f"the top {share:.2f} of the pixels") for share in shares[1:]]
    best = max(ways, key=lambda way: float(metrics.segmentation_scores(way[0] > way[1], truth)["iou"].mean()))
    return best[0] > best[1], best[2].replace("0.", ".")
