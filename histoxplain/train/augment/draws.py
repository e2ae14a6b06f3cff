"""Random numbers of a batch, or one percentile of their distributions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class Draw:
    """Random numbers of one batch, or one percentile of their distributions."""

    def __init__(
        self,
        images: Tensor,
        p: Tensor,
        settings: dict[str, float],
        percentile: float | None,
        generator: torch.Generator | None,
    ) -> None:
        self.n, self.channels, self.height, self.width = images.shape
        self.p, self.settings, self.device, self.generator = p, settings, images.device, generator
        self.percentile = None if percentile is None else torch.tensor(float(percentile), device=images.device)

    def __getitem__(self, name: str) -> float:
        return self.settings[name]

    def uniform(self, *shape: int) -> Tensor:
        """`(N, *shape)` from [0, 1)."""
        return torch.rand([self.n, *shape], device=self.device, generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        """`(N, *shape)` from the standard normal distribution."""
        return torch.randn([self.n, *shape], device=self.device, generator=self.generator)

    def pick(
        self, name: str | float | Tensor, drawn: Tensor, neutral: float, at: Callable[[Tensor], Tensor | float]
    ) -> Tensor:
        """`drawn` where the augmentation happens, else `neutral`; under a percentile `at(percentile)` everywhere.

        Args:
            name: the augmentation, or its probability.
            drawn: `(N, ...)`; trailing axes share one decision.
            neutral: the value that changes nothing.
            at: percentile -> value.
        """
        chance = self.settings[name] * self.p if isinstance(name, str) else name
        happens = self.uniform(*[1] * (drawn.ndim - 1)) < chance
        if self.percentile is None:
            return torch.where(happens, drawn, neutral)
        return torch.as_tensor(at(self.percentile), dtype=drawn.dtype, device=self.device).expand_as(drawn)


def gaussian(percentile: Tensor) -> Tensor:
    """A percentile of the normal distribution of variance 1/2, as the reference has it."""
    return torch.erfinv(2 * percentile - 1)


def symmetric(percentile: Tensor) -> Tensor:
    """A percentile of the uniform distribution from -1 to 1."""
    return 2 * percentile - 1
