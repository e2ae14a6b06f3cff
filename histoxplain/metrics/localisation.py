"""Whether a map of change points at the right place."""

from __future__ import annotations

import torch
from torch import Tensor

from histoxplain._checks import check, check_between


def _checked(change: Tensor, mask: Tensor) -> Tensor:
    """The size of the change, float64."""
    check(change.ndim == 3, "change", "have shape (N, H, W)", tuple(change.shape))
    check(mask.shape == change.shape, "mask", f"have shape {tuple(change.shape)}", tuple(mask.shape))
    check(mask.dtype == torch.bool, "mask", "be boolean", mask.dtype, "compare it with 0.5")
    check(bool(mask.any((1, 2)).all()), "mask", "mark at least one pixel of every image", "an empty one")
    check(bool(change.isfinite().all()), "change", "be finite", "nan or inf")
    return change.abs().double()


def pointing_game(change: Tensor, mask: Tensor) -> Tensor:
    """Whether the largest change lies in the true area (Zhang et al., arXiv:1608.00507).

    Args:
        change: maps `(N, H, W)`, of any sign.
        mask: the true area, boolean, of the same shape.

    Returns:
        `(N,)` in [0, 1]: 1 for a hit, 0 for a miss; where several pixels share the largest change, the share of them
        that hits. Pointing by chance hits as often as the area is large.

    Raises:
        InputError: if shapes differ or a mask is empty.

    Example:
        >>> change = torch.tensor([[[0.0, -0.9], [0.5, 0.1]]])
        >>> pointing_game(change, change < 0).item(), pointing_game(change, change > 0.4).item()
        (1.0, 0.0)
    """
    size = _checked(change, mask)
    peak = size == size.amax((1, 2), keepdim=True)
    return (peak & mask).sum((1, 2)) / peak.sum((1, 2)).double()


def overlap(change: Tensor, mask: Tensor, threshold: float = 0.05) -> Tensor:
    """Intersection over union of the true area and where the change is larger than `threshold`.

    Args:
        change: maps `(N, H, W)`.
        mask: the true area, boolean.
        threshold: change that does not count, in the map's own units.

    Returns:
        `(N,)` in [0, 1].

    Example:
        >>> change = torch.tensor([[[0.0, -0.9], [0.5, 0.01]]])
        >>> overlap(change, torch.tensor([[[False, True], [False, True]]])).item()  # 1 of 3
        0.333...
    """
    size = _checked(change, mask)
    check_between("threshold", threshold, 0, 2)
    return _iou(size > threshold, mask)


def best_overlap(change: Tensor, mask: Tensor, levels: int = 64) -> Tensor:
    """The largest `overlap` over thresholds; not below the area's own share of the image, which "everywhere" gets.

    Args:
        change: maps `(N, H, W)`.
        mask: the true area, boolean.
        levels: thresholds that are tried, at evenly spaced quantiles of each map.

    Returns:
        `(N,)` in (0, 1].

    Example:
        >>> change = torch.tensor([[[0.0, -0.9], [0.5, 0.01]]])
        >>> best_overlap(change, change.abs() > 0.4).item(), best_overlap(0 * change, change.abs() > 0.4).item()
        (1.0, 0.5)
    """
    size = _checked(change, mask)
    best = mask.double().mean((1, 2))
    at = torch.linspace(0, 1, levels + 1, dtype=torch.float64)[:-1]
    for threshold in torch.quantile(size.flatten(1), at, dim=1):
        best = torch.maximum(best, _iou(size > threshold[:, None, None], mask))
    return best


def outside_share(change: Tensor, mask: Tensor) -> Tensor:
    """The share of all change that lies outside the true area: what was changed although nothing was wrong there.

    Args:
        change: maps `(N, H, W)`.
        mask: the true area, boolean.

    Returns:
        `(N,)` in [0, 1]; 0 where nothing changed.

    Example:
        >>> change = torch.tensor([[[0.0, -0.75], [0.25, 0.0]]])
        >>> outside_share(change, change < 0).item()
        0.25
    """
    size = _checked(change, mask)
    total = size.sum((1, 2))
    return torch.where(total > 0, (size * ~mask).sum((1, 2)) / total.clamp(min=1e-300), 0.0)


def _iou(found: Tensor, mask: Tensor) -> Tensor:
    return (found & mask).sum((1, 2)).double() / (found | mask).sum((1, 2))
