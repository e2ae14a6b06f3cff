"""Whether a counterfactual does what it was made for."""

from __future__ import annotations

import torch
from torch import Tensor

from histoxplain._checks import check


def is_valid(probabilities: Tensor, target: int | Tensor, threshold: float = 0.5) -> Tensor:
    """Whether each image is called `target`, with at least that probability.

    Args:
        probabilities: `(N, K)` of the images as saved (8 bits), rows sum to 1.
        target: class index, for all or `(N,)`.
        threshold: least probability of the target, in [0, 1].

    Returns:
        bool `(N,)`.

    Example:
        >>> is_valid(torch.tensor([[0.2, 0.8], [0.45, 0.55], [0.9, 0.1]]), target=1, threshold=0.6).tolist()
        [True, False, False]
    """
    check(probabilities.ndim == 2, "probabilities", "have shape (N, K)", tuple(probabilities.shape))
    target = torch.as_tensor(target, device=probabilities.device).expand(len(probabilities))
    reached = probabilities.gather(1, target[:, None])[:, 0] >= threshold
    return reached & (probabilities.argmax(dim=1) == target)


def validity(probabilities: Tensor, target: int | Tensor, threshold: float = 0.5) -> float:
    """Share of valid counterfactuals (the flip rate), in [0, 1]; see `is_valid`.

    Example:
        >>> validity(torch.tensor([[0.2, 0.8], [0.9, 0.1]]), target=1)
        0.5
    """
    check(len(probabilities) > 0, "probabilities", "hold at least one image", 0)
    return is_valid(probabilities, target, threshold).double().mean().item()
