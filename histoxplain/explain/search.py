"""The smallest step that changes the classifier's mind: bracket, bisect, descend. Nothing here knows about images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Score = Callable[[Tensor, Tensor], Tensor]
"""`(points (n, ...), rows (n,)) -> (n,)`: how far past the goal each point is; >= 0 means arrived, minus infinity that
going farther is of no use. `rows` says which of the searched moves each point belongs to."""

GRID = (0.25, 0.5, 0.75, 1.0, 1.35)


@dataclass(frozen=True, eq=False)
class Move:
    """A straight path in latent space: `start + alpha * step`."""

    start: Tensor
    """`(num_ws, w_dim)` in W+, `(S,)` in StyleSpace."""
    step: Tensor
    """The same shape."""
    name: str
    """What kind of step: "label", "difference", "towards sample 3", "gradient", ... with the layers it touches."""
    fade: float = 0.0
    """How much of the image's detail, what W+ does not say of it, is gone at `alpha` = 1."""

    def at(self, alpha: float) -> Tensor:
        """The latent at `alpha`."""
        return self.start + alpha * self.step

    def gain(self, alpha: float) -> float:
        """How much of the detail is left at `alpha`, from 1 to 0."""
        return min(max(1 - self.fade * alpha, 0.0), 1.0)


def bracket(
    score: Score, starts: Tensor, steps: Tensor, grid: Sequence[float] | Tensor = GRID
) -> tuple[Tensor, Tensor]:
    """For many moves at once, the first interval of `grid` in which the goal is reached.

    Args:
        score: see `Score`.
        starts: `(N, ...)`.
        steps: `(N, ...)`.
        grid: rising values of alpha, for all moves alike or a row for each, `(N, G)`.

    Returns:
        The interval's ends, each `(N,)`: `high` has arrived, `low` has not; `high` is infinite where none arrived.

    Example:
        >>> low, high = bracket(lambda x, rows: x[:, 0] - 0.6, torch.zeros(1, 1), torch.ones(1, 1))
        >>> low.item(), high.item()
        (0.5, 0.75)
    """
    low, high = torch.zeros(len(starts)), torch.full((len(starts),), torch.inf)
    open_rows, shape = torch.arange(len(starts)), (-1,) + (1,) * (starts.ndim - 1)
    for alphas in torch.as_tensor(grid, dtype=torch.float32).expand(len(starts), -1).T:
        if not len(open_rows):
            break
        alpha = alphas[open_rows]
        past = score(starts[open_rows] + alpha.reshape(shape).to(steps) * steps[open_rows], open_rows).cpu()
        arrived = past >= 0
        high[open_rows[arrived]] = alpha[arrived]
        low[open_rows[~arrived]] = alpha[~arrived]
        open_rows = open_rows[~arrived & past.isfinite()]
    return low, high


def bisect(score: Score, starts: Tensor, steps: Tensor, low: Tensor, high: Tensor, rounds: int = 4) -> Tensor:
    """Halve brackets; what is returned has arrived.

    Args:
        score: see `Score`.
        starts: `(N, ...)`.
        steps: `(N, ...)`.
        low: alphas that have not arrived, `(N,)`.
        high: alphas that have, `(N,)`, finite.
        rounds: halvings.

    Returns:
        The smallest alpha found to have arrived, `(N,)`.

    Example:
        >>> arrived = lambda x, rows: x[:, 0] - 0.6
        >>> bisect(arrived, torch.zeros(1, 1), torch.ones(1, 1), torch.tensor([0.5]), torch.tensor([0.75]), 10).item()
        0.6000976...
    """
    low, high, rows = low.clone(), high.clone(), torch.arange(len(starts))
    shape = (-1,) + (1,) * (starts.ndim - 1)
    for _ in range(rounds if len(starts) else 0):
        middle = (low + high) / 2
        arrived = score(starts + middle.reshape(shape).to(steps) * steps, rows).cpu() >= 0
        high, low = torch.where(arrived, middle, high), torch.where(arrived, low, middle)
    return high


def descend(loss: Callable[[Tensor, int], Tensor], u: Tensor, steps: int = 16, lr: float = 0.1) -> Tensor:
    """Minimise a loss of independent rows with Adam.

    Args:
        loss: `(u, step) -> scalar`; a sum over rows, so that rows do not influence each other.
        u: where to start, `(N, ...)`.
        steps: gradient steps.
        lr: step size, falling to a tenth on a cosine.

    Returns:
        Where it ends, `(N, ...)`.

    Example:
        >>> descend(lambda u, step: (u - 1).square().sum(), torch.zeros(1), steps=60).round(decimals=1).item()
        1.0
    """
    u = u.detach().clone().requires_grad_(True)
    optimiser = torch.optim.Adam([u], lr=lr, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=lr / 10)
    for step in range(steps):
        optimiser.zero_grad(set_to_none=True)
        loss(u, step).backward()
        optimiser.step()
        schedule.step()
    return u.detach()
