"""Omega: from concepts, and what they leave out, to the latents of a generator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from histoxplain.models.viscoin.config import POOLED, ConceptConfig


class ConceptTranslator(nn.Module):
    """Concepts `(N, K, 3, 3)` and support to latents `(N, num_ws, w_dim)`, as a move away from the generator's mean w.

    The move is linear in the concepts: twice as much of one moves an image twice as far, and without any of them and
    without support the latent is the mean.
    """

    def __init__(self, config: ConceptConfig) -> None:
        super().__init__()
        self.config = config
        self.moved = range(config.first_ws, config.last_ws)
        self.register_buffer("mean", torch.zeros(config.w_dim))
        self.register_buffer("deviation", torch.ones(config.w_dim))
        into = POOLED**2 * config.concepts
        self.say = nn.Linear(into, len(self.moved) * config.w_dim, bias=False)
        others = config.num_ws - len(self.moved)
        if config.support == "features" and others:
            self.beside = nn.Linear(into, others * config.w_dim)

    @torch.no_grad()
    def calibrate(self, w: Tensor) -> None:
        """Take mean and deviation from latents `(n, w_dim)` of the generator, where these are not known yet."""
        self.mean.copy_(w.mean(0))
        self.deviation.copy_(w.std(0).clamp_min(1e-6))

    def move(self, phi: Tensor) -> Tensor:
        """How far concepts move the latents, `(N, num_ws, w_dim)`."""
        c = self.config
        said = self.say(phi.flatten(1)).unflatten(1, (len(self.moved), c.w_dim)) * self.deviation
        before, after = (said.new_zeros(len(phi), n, c.w_dim) for n in (c.first_ws, c.num_ws - c.last_ws))
        return torch.cat([before, said, after], 1)

    def forward(self, phi: Tensor, support: Tensor | None = None) -> Tensor:
        """Latents `(N, num_ws, w_dim)`; without support those of the concepts alone."""
        ws = self.mean + self.move(phi)
        if support is None:
            return ws
        return ws + (support if self.config.support == "encoder" else self._others(support))

    def _others(self, support: Tensor) -> Tensor:
        c = self.config
        if not hasattr(self, "beside"):
            return support.new_zeros(len(support), c.num_ws, c.w_dim)
        said = self.beside(support).unflatten(1, (-1, c.w_dim)) * self.deviation
        middle = said.new_zeros(len(support), len(self.moved), c.w_dim)
        return torch.cat([said[:, : c.first_ws], middle, said[:, c.first_ws :]], 1)
