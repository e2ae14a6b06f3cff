"""What single steps along directions do to a classifier's opinion of images."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


class Measured:
    """Directions whose effects were measured, image by image."""

    effects: Tensor
    """What a step along each adds to the log-odds of the target, or to those of target against source, `(D, N)`."""
    flipped: Tensor
    """Whether the classifier then says the target, `(D, N)` bool."""

    @property
    def scores(self) -> Tensor:
        """Mean effect of each, `(D,)`."""
        return self.effects.mean(1)

    @property
    def shares(self) -> Tensor:
        """Share of the images that each turns into the target by itself, `(D,)`."""
        return self.flipped.float().mean(1)


@dataclass(frozen=True, eq=False)
class Effects(Measured):
    """What one step along each of D directions does to N images.

    Example:
        >>> import torch
        >>> found = Effects(("up",), torch.tensor([[1.0, 3.0]]), torch.tensor([[False, True]]))
        >>> found.scores.item(), found.shares.item()
        (2.0, 0.5)
    """

    names: tuple[str, ...]
    """Of the directions."""
    effects: Tensor
    """See `Measured`."""
    flipped: Tensor
    """See `Measured`; what said the target before does not count."""
