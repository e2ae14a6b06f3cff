"""The terms of a CycleGAN's objective (Zhu et al., 2017), and that of a classifier whose mind is to change."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def least_squares(logits: Tensor, truth: float) -> Tensor:
    """Mean squared distance of a discriminator's logits to 1 (real) or 0 (made) (LSGAN; Mao et al., 2017)."""
    return (logits - truth).square().mean()


def counterfactual_loss(probabilities: Tensor, targets: Tensor) -> Tensor:
    """`||C(G(x)) - onehot(target)||^2`, the mean over a batch: 0 where the classifier is sure of the target.

    Args:
        probabilities: the classifier's, of the translated images, `(N, K)`; rows sum to 1.
        targets: the class asked for, `(N,)`.

    Example:
        >>> p = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
        >>> [round(counterfactual_loss(row[None], torch.tensor([1])).item(), 4) for row in p]
        [2.0, 0.5, 0.0]
    """
    wanted = F.one_hot(targets, probabilities.shape[1]).to(probabilities)
    return (probabilities - wanted).square().sum(1).mean()


class ImageBuffer:
    """Translations that were made before, so that discriminators do not forget them (Shrivastava et al., 2017).

    Args:
        classes: how many; each has images of its own.
        size: of each class; 0 keeps nothing.
    """

    def __init__(self, classes: int, size: int) -> None:
        self.size = size
        self.kept: list[list[Tensor]] = [[] for _ in range(classes)]

    def exchange(self, images: Tensor, classes: Tensor, rng: torch.Generator) -> Tensor:
        """Keep images, and give as many back: half of them the same, half earlier ones of their class, now replaced.

        Until a class has `size` images, all are the same.

        Args:
            images: `(N, C, H, W)`.
            classes: `(N,)`.
            rng: on the CPU.
        """
        swap = torch.rand(len(images), generator=rng) < 0.5
        place = torch.randint(max(self.size, 1), (len(images),), generator=rng)
        given = []
        for image, k, swaps, i in zip(images.detach(), classes.tolist(), swap.tolist(), place.tolist()):
            pool = self.kept[k]
            if len(pool) < self.size:
                pool.append(image.clone())
            elif swaps and self.size:
                image, pool[i] = pool[i], image.clone()
            given.append(image)
        return torch.stack(given)

    def state_dict(self) -> dict[str, list[Tensor]]:
        """What is kept, by class."""
        return {str(k): list(pool) for k, pool in enumerate(self.kept)}

    def load_state_dict(self, state: dict[str, list[Tensor]], device: torch.device | str = "cpu") -> None:
        """Continue from `state_dict`."""
        self.kept = [[image.to(device) for image in state[str(k)]] for k in range(len(self.kept))]
