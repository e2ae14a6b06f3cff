"""Where a generator's latents usually lie, as a measure of how unusual others are."""

from __future__ import annotations

import torch
from torch import Tensor

from histoxplain.models.stylegan2 import Generator

SAMPLES = 4096
"""Latents of each class that are looked at."""
LEAST = 0.02
"""No direction counts as narrower than this part of the widest."""


class Latents:
    """Mean of each class and common spread of a generator's latents.

    Args:
        G: the generator.
        seed: of the latents that are looked at.
    """

    @torch.no_grad()
    def __init__(self, G: Generator, seed: int = 0) -> None:
        device, classes = next(G.parameters()).device, max(G.c_dim, 1)
        z = torch.randn(SAMPLES, G.z_dim, generator=torch.Generator().manual_seed(seed)).to(device)
        labels = torch.eye(classes, device=device)
        w = torch.stack([G.mapping(z, c.expand(SAMPLES, -1) if G.c_dim else None)[:, 0] for c in labels])
        self.means = w.mean(1)
        away = (w - self.means[:, None]).flatten(0, 1).double()
        covariance = away.T @ away / len(away)
        widest = torch.linalg.eigvalsh(covariance)[-1].clamp_min(1e-12)
        floor = LEAST**2 * widest * torch.eye(G.w_dim, device=device)
        self.root = torch.linalg.cholesky(covariance + floor).float()
        self.deviation = float(covariance.diagonal().mean().sqrt().clamp_min(1e-6))
        """Of one coordinate of w, on average."""

    def unusual(self, ws: Tensor, c: Tensor) -> Tensor:
        """Mean squared deviation from the class mean along each direction, 1 on average for the generator's own.

        Args:
            ws: `(N, num_ws, w_dim)`.
            c: class of each, `(N,)`; ignored without labels.

        Returns:
            `(N,)`.
        """
        means = self.means[c if len(self.means) > 1 else torch.zeros_like(c)]
        away = (ws - means[:, None]).flatten(0, 1)
        u = torch.linalg.solve_triangular(self.root, away.T, upper=False)
        return u.square().mean(0).unflatten(0, ws.shape[:2]).mean(1)
