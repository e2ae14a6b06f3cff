"""Whether a counterfactual changes more than it needs to."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from histoxplain._checks import check, check_at_least

Accepts = Callable[[Tensor, Tensor], Tensor]
"""Images `(n, C, H, W)` and which of the pairs they belong to `(n,)`, to whether they are valid, bool `(n,)`."""


@torch.no_grad()
def needed_share(original: Tensor, changed: Tensor, accepts: Accepts, steps: int = 16, halvings: int = 4) -> Tensor:
    """The share of each change that is needed: how far it can be taken back before the image ceases to be valid.

    The images `original + t (changed - original)` are tried from t = 1 downwards in `steps` steps until one is not
    valid; the last step is then halved. 1 means that nothing can be taken back, 0.25 that a quarter would have done.

    Args:
        original: `(N, C, H, W)` in `[-1, 1]`.
        changed: counterfactuals of them, of the same shape.
        accepts: says which images are valid.
        steps: of the way back, at least 1.
        halvings: of the last step; the result is exact to `1 / (steps * 2^halvings)`, from above.

    Returns:
        `(N,)` in [0, 1]; NaN where the counterfactual itself is not valid. 0 means that the original is valid too.

    Raises:
        InputError: if the shapes differ.

    Example:
        >>> black, white = -torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
        >>> needed_share(black, white, lambda x, rows: x.mean((1, 2, 3)) >= 0).item()  # grey would have done
        0.5
    """
    check(original.shape == changed.shape, "changed", f"have shape {tuple(original.shape)}", tuple(changed.shape))
    check_at_least("steps", steps, 1)
    share = torch.ones(len(original), dtype=torch.float64)
    todo = torch.arange(len(original))

    def valid(rows: Tensor, t: Tensor) -> Tensor:
        at = t.to(original)[:, None, None, None]
        x = original[rows] + at * (changed[rows] - original[rows])
        return accepts(x, rows).cpu() if len(rows) else torch.zeros(0, dtype=torch.bool)

    ok = valid(todo, share)
    share[~ok] = torch.nan
    todo, ends = todo[ok], []
    for k in range(steps - 1, -1, -1):
        ok = valid(todo, torch.full((len(todo),), k / steps, dtype=torch.float64))
        share[todo[ok]] = k / steps
        ends.append(todo[~ok])
        todo = todo[ok]
    rows = torch.cat(ends)
    width = 1 / steps
    for _ in range(halvings):
        width /= 2
        ok = valid(rows, share[rows] - width)
        share[rows[ok]] -= width
    return share
