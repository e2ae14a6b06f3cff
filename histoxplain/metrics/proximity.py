"""How little a counterfactual changes."""

from __future__ import annotations

from torch import Tensor

from histoxplain._checks import check


def l1_distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of pixels: `mean_chw |a - b|`.

    Args:
        a, b: images `(N, C, H, W)` in `[-1, 1]`.

    Returns:
        `(N,)`, in [0, 2]; 2 turns black into white.

    Raises:
        InputError: if the shapes differ.

    Example:
        >>> import torch
        >>> l1_distance(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.25)).tolist()
        [0.25]
    """
    check(a.shape == b.shape, "b", f"have the shape of `a`, {tuple(a.shape)}", tuple(b.shape))
    return (a - b).abs().flatten(1).mean(dim=1)


def sparsity(a: Tensor, b: Tensor, tolerance: float = 0.1) -> Tensor:
    """Share of pixels that stay as they are: no channel changes by more than `tolerance`.

    Args:
        a, b: images `(N, C, H, W)` in `[-1, 1]`.
        tolerance: largest difference that does not count; 0.1 is 13 of 256 grey levels, about what the eye passes over.

    Returns:
        `(N,)`, in [0, 1]; 1 for equal images.

    Raises:
        InputError: if the shapes differ.

    Example:
        >>> import torch
        >>> a = torch.zeros(1, 3, 2, 2)
        >>> b = a.clone(); b[0, 1, 0, 0] = 1
        >>> sparsity(a, b).tolist()
        [0.75]
    """
    check(a.shape == b.shape, "b", f"have the shape of `a`, {tuple(a.shape)}", tuple(b.shape))
    return ((a - b).abs().amax(dim=1) <= tolerance).flatten(1).to(a.dtype).mean(dim=1)
