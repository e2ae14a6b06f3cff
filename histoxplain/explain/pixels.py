"""The baseline that explains nothing: gradient ascent on the pixels, which finds an adversarial pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain._checks import check, check_at_least, check_between
from histoxplain.explain.explainer import THRESHOLD, Explainer, Found
from histoxplain.explain.images import quantised
from histoxplain.explain.opinion import logits_of
from histoxplain.explain.record import judge

if TYPE_CHECKING:
    from histoxplain.models import Bundle

HALVINGS = 6
"""How often the way from the image to its first flip is halved."""


class PixelAscent(Explainer):
    """The smallest change of pixels that flips the saved image: projected gradient ascent in a growing box.

    Madry et al., *Towards deep learning models resistant to adversarial attacks*, 2018 (arXiv:1706.06083): steps along
    the sign of the gradient of the target's margin, kept within `level` grey levels of the image, with 1, 2, 4, ...
    levels until the image as saved is valid; then the way there is bisected. It needs a classifier with gradients and
    no generator. What it changes is seldom visible and seldom means anything: a second classifier does not believe
    it. It is here to be compared with, since it flips nearly every image.

    Args:
        bundle: its classifier is asked; of the generator only the number of channels counts.
        steps: gradient steps in each box.
        levels: half the side of the largest box, in grey levels of 255.
        threshold: see `Explainer`.
        batch_size: see `Explainer`.
        fit: see `Explainer`.
    """

    method: ClassVar[str] = "pixels"
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        bundle: Bundle,
        *,
        steps: int = 10,
        levels: int = 32,
        threshold: float = THRESHOLD,
        batch_size: int | None = None,
        fit: bool = False,
    ) -> None:
        super().__init__(bundle, threshold=threshold, batch_size=batch_size, fit=fit)
        check_at_least("steps", steps, 1)
        check_between("levels", levels, 1, 255)
        self.steps, self.levels = steps, levels

    def search(self, x: Tensor, sources: Tensor, targets: Tensor, count: int, seed: int) -> list[Found]:
        """Climb from the image, and for more than one answer from places near it; see `Explainer.search`."""
        draws = torch.Generator().manual_seed(seed)
        start, asked = x.repeat_interleave(count, 0), targets.repeat_interleave(count)
        noise = torch.empty(x.shape[1:].numel() * len(start)).uniform_(-1, 1, generator=draws).reshape(start.shape)
        noise[::count] = 0.0
        best, used, level = start.clone(), torch.zeros(len(start)), 1
        todo = torch.arange(len(start))
        while len(todo):
            found = self.climb(start[todo], asked[todo], 2 * level / 255, noise[todo].to(x))
            best[todo], used[todo] = found, float(level)
            todo = todo[~self.accepted(found, asked[todo]).cpu()]
            if level >= self.levels:
                break
            level = min(2 * level, self.levels)
        best = self.nearest(start, best, asked)
        return [self.found(*rows) for rows in zip(x, best.split(count), used.split(count))]

    def climb(self, x: Tensor, targets: Tensor, box: float, noise: Tensor) -> Tensor:
        """`steps` along the sign of the margin's gradient, within `box` of the images and within black and white."""
        other = F.one_hot(targets, len(self.bundle.class_names)).bool()
        moved = x + box * noise
        for _ in range(self.steps):
            moved = moved.detach().requires_grad_()
            logits = logits_of(self.bundle.classifier, moved)
            ok = logits.requires_grad and isinstance(self.bundle.classifier, nn.Module)
            kind = type(self.bundle.classifier).__name__
            check(ok, "classifier", "have gradients for the method pixels", kind, "use a network of PyTorch")
            margin = logits[other] - logits.masked_fill(other, -torch.inf).amax(1)
            (slope,) = torch.autograd.grad(margin.sum(), moved)
            step = moved.detach() + 2.5 * box / self.steps * slope.sign()
            moved = torch.maximum(torch.minimum(step, x + box), x - box).clamp(-1, 1)
        return moved.detach()

    def accepted(self, x: Tensor, targets: Tensor) -> Tensor:
        """Whether the images are valid once saved, `(N,)`."""
        some = zip(x.split(32), targets.split(32))
        return torch.cat([judge(self.bundle.classifier, part, wanted, self.threshold)[2] for part, wanted in some])

    def nearest(self, x: Tensor, flipped: Tensor, targets: Tensor) -> Tensor:
        """The valid image nearest to `x` on the straight way to `flipped`, to one part in 64."""
        low, high = torch.zeros(len(x)).to(x), torch.ones(len(x)).to(x)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            valid = self.accepted(x + middle[:, None, None, None] * (flipped - x), targets).to(x.device)
            low, high = torch.where(valid, low, middle), torch.where(valid, middle, high)
        return x + high[:, None, None, None] * (flipped - x)

    @staticmethod
    def found(x: Tensor, images: Tensor, levels: Tensor) -> Found:
        """The answers to one image, smallest change first."""
        change = (quantised(images) - x).abs().mean((1, 2, 3))
        order = change.argsort().cpu()
        return Found(images[order.to(images.device)], settings={"levels": [int(level) for level in levels[order]]})
