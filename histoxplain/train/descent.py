"""Steps of an optimiser, as every training here takes them."""

from __future__ import annotations

import torch
from torch import Tensor

from histoxplain.train.distributed import average_


def lazy_adam(lr: float, interval: int) -> tuple[float, tuple[float, float]]:
    """Learning rate and betas of an optimiser that also steps once every `interval` for a regulariser.

    Example:
        >>> lazy_adam(0.002, 4)
        (0.0016, (0.0, 0.9919919678228657))
    """
    share = interval / (interval + 1) if interval else 1.0
    return lr * share, (0.0, 0.99**share)


def apply_gradients(loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
    """One step of an optimiser down a loss, the mean of all processes', without what is not finite in its gradient."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    average_(gradients)
    for gradient in gradients:
        torch.nan_to_num(gradient, nan=0, posinf=1e5, neginf=-1e5, out=gradient)
    optimiser.step()
