"""A balanced order of images: the classes in turn, each in an endless order of its own."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from histoxplain.train.sampler import endless


class ClassTurns:
    """Numbers of images, one class after the other, however many images each has.

    Args:
        labels: class of every image, `(N,)`, from 0 on; every class has at least one.
        seed: of the orders.
        drawn: how many were drawn already, for a resume.

    Example:
        >>> import torch
        >>> turns = ClassTurns(torch.tensor([0, 1, 1, 1]))
        >>> [turns.next() for _ in range(6)]
        [0, 1, 0, 3, 0, 2]
    """

    def __init__(self, labels: Tensor, seed: int = 0, drawn: int = 0) -> None:
        count = int(labels.max()) + 1
        self.drawn = drawn
        self.places = [np.flatnonzero(labels.numpy() == k) for k in range(count)]
        before = [drawn // count + (k < drawn % count) for k in range(count)]
        self.orders = [
            endless(len(places), seed + k, start=start) for k, (places, start) in enumerate(zip(self.places, before))
        ]

    def next(self) -> int:
        """The next image."""
        k = self.drawn % len(self.places)
        self.drawn += 1
        return int(self.places[k][next(self.orders[k])])
