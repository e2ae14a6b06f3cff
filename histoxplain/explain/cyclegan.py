"""Counterfactuals by translation: a CycleGAN turns the image into one of the target class, without a search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from histoxplain._checks import check_at_least
from histoxplain.explain.explainer import THRESHOLD, Explainer, Found
from histoxplain.explain.record import judge

if TYPE_CHECKING:
    from histoxplain.models import Bundle

HALVINGS = 7
"""How often the way from the image to its translation is halved in looking for the smallest change."""


class Translation(Explainer):
    """The image as the bundle's translator turns it into the target class: CycleGAN (Zhu et al., 2017).

    One pass through a network an image. `settings` tell what the way back loses (`cycle_error`) and what a translation
    into the image's own class changes (`identity_error`), as mean absolute differences in `[0, 2]`: where they are
    large, the translator does not know such images, and its answer means little.

    A translator has one answer an image: however many are asked for, one comes back.

    Args:
        bundle: with a translator.
        smallest: go only as far from the image towards its translation as the classifier needs to be convinced, found
            by bisection; by default the counterfactual is the translation itself.
        threshold: see `Explainer`.
        batch_size: see `Explainer`.
        fit: see `Explainer`.
    """

    method: ClassVar[str] = "cyclegan"
    needs: ClassVar[tuple[str, ...]] = ("translator",)

    def __init__(
        self,
        bundle: Bundle,
        *,
        smallest: bool = False,
        threshold: float = THRESHOLD,
        batch_size: int | None = None,
        fit: bool = False,
    ) -> None:
        super().__init__(bundle, threshold=threshold, batch_size=batch_size, fit=fit)
        self.smallest = smallest

    @torch.no_grad()
    def search(self, x: Tensor, sources: Tensor, targets: Tensor, count: int, seed: int) -> list[Found]:
        """Translate there, back, and into the own class; see `Explainer.search`."""
        check_at_least("count", count, 1)
        T = self.bundle.translator
        there = T(x, targets)
        cycle = (T(there, sources) - x).abs().mean((1, 2, 3)).tolist()
        identity = (T(x, sources) - x).abs().mean((1, 2, 3)).tolist()
        alpha = self.smallest_blends(x, there, targets) if self.smallest else torch.ones(len(x))
        blends = x + alpha.to(x)[:, None, None, None] * (there - x)
        return [
            Found(image[None], settings=noted(*figures))
            for image, *figures in zip(blends, cycle, identity, alpha.tolist())
        ]

    def smallest_blends(self, x: Tensor, there: Tensor, targets: Tensor) -> Tensor:
        """The least share of each change that is valid once saved, to one part in 128; 1 where none is. `(N,)`."""
        low, high = torch.zeros(len(x), device=x.device), torch.ones(len(x), device=x.device)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            blends = x + middle[:, None, None, None] * (there - x)
            valid = judge(self.bundle.classifier, blends, targets, self.threshold)[2].to(x.device)
            low, high = torch.where(valid, low, middle), torch.where(valid, middle, high)
        return high


def noted(cycle: float, identity: float, alpha: float) -> dict[str, Any]:
    """The settings of a record.

    Example:
        >>> noted(0.03, 0.01234567, 1.0)
        {'count': 1, 'cycle_error': 0.03, 'identity_error': 0.01235, 'alpha': [1.0]}
    """
    errors = {"cycle_error": round(cycle, 5), "identity_error": round(identity, 5)}
    return {"count": 1, **errors, "alpha": [round(alpha, 4)]}
