"""Omega: from concepts, and what they leave out, to the latents of a generator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from histoxplain.models.viscoin.config import POOLED, ConceptConfig


class ConceptTranslator(nn.Module):
    """Concepts `(N, K, 3, 3)` and support to latents `(N, num_ws, w_dim)`, as a move away from the generator's mean w.

    The move is linear in the concepts: twice as much of one moves an image twice as far, and without any of them and
    without support the latent is the mean. Latents farther from the mean than the generator's own go are pulled back.
    """

    def __init__(self, config: ConceptConfig) -> None:
        super().__init__()
        self.config = config
        self.moved = range(config.first_ws, config.last_ws)
        self.register_buffer("mean", torch.zeros(config.w_dim))
        self.register_buffer("deviation", torch.ones(config.w_dim))
        self.register_buffer("reach", torch.tensor(torch.inf))
        into = POOLED**2 * config.concepts
        self.say = nn.Linear(into, len(self.moved) * config.w_dim, bias=False)
        others = config.num_ws - len(self.moved)
        if config.support == "features" and others:
            self.beside = nn.Linear(into, others * config.w_dim)

    @torch.no_grad()
    def calibrate(self, w: Tensor, mean: Tensor | None = None) -> None:
        """Take mean, unless it is known, deviation and reach from latents `(n, w_dim)` of the generator."""
        self.mean.copy_(w.mean(0) if mean is None else mean)
        self.deviation.copy_(w.std(0).clamp_min(1e-6))
        if self.config.bounded < 1:
            self.reach.copy_(self.distance(w).quantile(self.config.bounded))

    def distance(self, w: Tensor) -> Tensor:
        """How far latents `(..., w_dim)` are from the mean, in deviations: the root of the mean square, `(...,)`."""
        return ((w - self.mean) / self.deviation).square().mean(-1).clamp_min(1e-12).sqrt()

    def move(self, phi: Tensor) -> Tensor:
        """How far concepts move the latents, `(N, num_ws, w_dim)`."""
        c = self.config
        said = self.say(phi.flatten(1)).unflatten(1, (len(self.moved), c.w_dim)) * self.deviation
        before, after = (said.new_zeros(len(phi), n, c.w_dim) for n in (c.first_ws, c.num_ws - c.last_ws))
        return torch.cat([before, said, after], 1)

    def left_out(self, ws: Tensor, phi: Tensor) -> Tensor:
        """What concepts leave out of latents `(N, num_ws, w_dim)`, the support of "encoder"."""
        return ws - self.mean - self.move(phi)

    def forward(self, phi: Tensor, support: Tensor | None = None) -> Tensor:
        """Latents `(N, num_ws, w_dim)`; without support those of the concepts alone."""
        ws = self.mean + self.move(phi)
        if support is not None:
            ws = ws + (support if self.config.support == "encoder" else self._others(support))
        share = (self.reach / self.distance(ws)).clamp(max=1.0)
        return self.mean + share[..., None] * (ws - self.mean)

    def _others(self, support: Tensor) -> Tensor:
        c = self.config
        if not hasattr(self, "beside"):
            return support.new_zeros(len(support), c.num_ws, c.w_dim)
        said = self.beside(support).unflatten(1, (-1, c.w_dim)) * self.deviation
        middle = said.new_zeros(len(support), len(self.moved), c.w_dim)
        return torch.cat([said[:, : c.first_ws], middle, said[:, c.first_ws :]], 1)
