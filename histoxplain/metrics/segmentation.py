"""How well a mask that was found agrees with the true one."""

from __future__ import annotations

import torch
from torch import Tensor

from histoxplain._checks import check

MEASURES = ("iou", "dice", "precision", "recall")


def segmentation_scores(found: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Agreement of masks with the truth, image by image.

    Args:
        found: boolean, `(N, H, W)`.
        truth: boolean, of the same shape.

    Returns:
        Float64 `(N,)` in [0, 1] each: `iou`, both over either; `dice`, twice both over the sum; `precision`, the share
        of what was found that is true, and `recall`, the share of what is true that was found. Where both masks are
        empty they agree: all are 1. Where only one is, all are 0.

    Raises:
        InputError: if shapes differ or something is not boolean.

    Example:
        >>> found, truth = torch.tensor([[[True, True, False]]]), torch.tensor([[[False, True, True]]])
        >>> {name: round(value.item(), 3) for name, value in segmentation_scores(found, truth).items()}
        {'iou': 0.333, 'dice': 0.5, 'precision': 0.5, 'recall': 0.5}
    """
    check(truth.ndim == 3, "truth", "have shape (N, H, W)", tuple(truth.shape))
    way_out = "a mask has one pixel for each of its image, the same way up"
    check(found.shape == truth.shape, "found", f"have shape {tuple(truth.shape)}", tuple(found.shape), way_out)
    for name, mask in (("found", found), ("truth", truth)):
        check(mask.dtype == torch.bool, name, "be boolean", mask.dtype, "compare it with a threshold")
    both, either = ((a.sum((1, 2))).double() for a in (found & truth, found | truth))
    mine, real = found.sum((1, 2)).double(), truth.sum((1, 2)).double()
    wholes = {"iou": (both, either), "dice": (2 * both, mine + real), "precision": (both, mine), "recall": (both, real)}
    agree = (either == 0).double()
    return {name: torch.where(either > 0, part / whole.clamp(min=1), agree) for name, (part, whole) in wholes.items()}


def counterfactual_validity(before: Tensor, after: Tensor, least: float = 0.8) -> Tensor:
    """Whether counterfactuals moved a classifier's probability by more than `least` (Shvetsov et al., 2024).

    Args:
        before: the probability that the image is abnormal, `(N,)`.
        after: that its counterfactual is, `(N,)`.
        least: how far it must move.

    Returns:
        Boolean `(N,)`.

    Example:
        >>> counterfactual_validity(torch.tensor([0.95, 0.7]), torch.tensor([0.05, 0.0])).tolist()
        [True, False]
    """
    check(before.shape == after.shape, "after", f"have shape {tuple(before.shape)}", tuple(after.shape))
    return (before - after).abs() > least
