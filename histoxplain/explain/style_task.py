"""Images to be turned by few style coordinates, as a greedy search asks about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from histoxplain._checks import check
from histoxplain.explain.arrival import Goal, Terms
from histoxplain.explain.detail import detailed
from histoxplain.explain.greedy import Greedy
from histoxplain.explain.images import quantised
from histoxplain.explain.prune import prune
from histoxplain.explain.spaces import StyleSpace, only_where
from histoxplain.explain.views import fixed_views, random_view

if TYPE_CHECKING:
    from histoxplain.explain.moves import Start


class StyleTask:
    """Images, the class that each is to become, and what steps in StyleSpace do to the classifier's opinion.

    Args:
        terms: of the search; its space is a `StyleSpace`.
        starts: N images, with their styles.
        confidences: asked of each; see `Goal`.
        seed: draws the views in which the classifier sees them.
    """

    def __init__(self, terms: Terms, starts: list[Start], confidences: Sequence[float], seed: int) -> None:
        self.terms, self.space = terms, terms.space
        self.styles = torch.stack([start.style for start in starts])
        self.detail = None if starts[0].detail is None else torch.stack([start.detail for start in starts])
        self.mask = starts[0].mask
        self.originals = None if self.mask is None else torch.stack([start.original for start in starts])
        self.targets = torch.tensor([start.target for start in starts], device=self.styles.device)
        self.goal = Goal(terms, starts, torch.arange(len(starts)), confidences)
        self.draws = torch.Generator().manual_seed(seed)

    def few(self, free: Tensor, most: int, tried: int) -> tuple[Tensor, Tensor]:
        """Steps with at most so many of the coordinates `free` `(N, S)`: `(N, S)`, and whether they do, `(N,)` bool."""
        low, high = self._room(free)
        return Greedy(self.slope, self.opinion, self.enough, most, tried)(low, high)

    def _room(self, free: Tensor) -> tuple[Tensor, Tensor]:
        space: StyleSpace = self.space
        return (space.low - self.styles).clamp_max(0) * free, (space.high - self.styles).clamp_min(0) * free

    def slope(self, steps: Tensor, rows: Tensor) -> Tensor:
        """See `greedy.Slope`: of the lead of the target's logit, in one random view of the images."""
        target = F.one_hot(self.targets[rows], len(self.terms.bundle.class_names)).bool()
        with torch.enable_grad():
            points = (self.styles[rows] + steps).detach().requires_grad_()
            with detailed(self.space.generator, None if self.detail is None else self.detail[rows]):
                x = self.space.image(points)
            x = only_where(self.mask, x, None if self.mask is None else self.originals[rows])
            x = random_view(x, self.draws).contiguous(memory_format=torch.channels_last)
            logits = self.goal.classifier(x)
            way_out = "use the method latent, which needs none"
            check(logits.requires_grad, "classifier", "have gradients for the method style", "a black box", way_out)
            lead = logits[target] - logits.masked_fill(target, -torch.inf).amax(1)
            return torch.autograd.grad(lead.sum(), points)[0].detach()

    @torch.no_grad()
    def opinion(self, steps: Tensor, rows: Tensor, turn: int) -> Tensor:
        """See `greedy.Opinion`: the target's mean log-probability in the image and a view, another a round."""
        x = quantised(self.goal.draw(self._points(steps, rows), rows))
        views = fixed_views(x)
        target = self.targets[rows][:, None]
        seen = [self.goal.classified(some).gather(1, target)[:, 0] for some in (x, views[turn % len(views)])]
        return torch.stack(seen).clamp_min(1e-9).log().mean(0)

    def enough(self, steps: Tensor, rows: Tensor) -> Tensor:
        """See `greedy.Enough`."""
        return self.goal(self._points(steps, rows), rows)

    def pruned(self, steps: Tensor, rows: Tensor) -> Tensor:
        """The steps `(n, S)` of some images without the coordinates that they can do without."""
        if not len(rows):
            return steps
        worth = self.space.deviations(steps).abs().cpu()  # what changed least is tried first
        kept = prune(
            lambda tried, some: self.enough(steps[some] * tried.to(steps), rows[some]), (steps != 0).cpu(), worth
        )
        return steps * kept.to(steps)

    def _points(self, steps: Tensor, rows: Tensor) -> Tensor:
        points = self.styles[rows] + steps
        return torch.cat([points, torch.ones_like(points[:, :1])], 1)
