"""How much the stain of a tissue changed: the amounts of haematoxylin and eosin before and after."""

from __future__ import annotations

from torch import Tensor

from histoxplain.data.stain import separate_stains

STAINS = ("haematoxylin", "eosin")


def stain_change(before: Tensor, after: Tensor) -> dict[str, float]:
    """Relative change of the mean amount of each stain, of two RGB images `(3, H, W)` in `[-1, 1]`; 0.1 is 10 % more.

    Example:
        >>> import torch
        >>> x = torch.rand(3, 8, 8)
        >>> stain_change(x, x)
        {'haematoxylin': 0.0, 'eosin': 0.0}
    """
    one, two = (separate_stains(x[None].clamp(-1, 1).cpu()).mean((0, 2, 3)) for x in (before, after))
    return {name: round(float(b / a.clamp_min(1e-6)) - 1, 4) for name, a, b in zip(STAINS, one, two)}
