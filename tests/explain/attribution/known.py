"""Networks of a few weights, whose right maps are known on paper."""

import torch
from torch import nn

SIDE = 16


class Linear(nn.Module):
    """Logits of two classes: 0, and the sum of `weight * x`. Any right map of class 1 is `weight * x`."""

    class_names, channels = ("nothing", "something"), 3

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        one = (x * self.weight).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(one), one], 1)


class Pooled(nn.Module):
    """Two convolutions, a mean over places and a linear head: Grad-CAM of a class sums to its logit without bias."""

    def __init__(self, seed, stride=2, width=6):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            first = nn.Conv2d(3, width, 3, stride, padding=1)
            second = nn.Conv2d(width, width, 3, 2, padding=1)
            self.body = nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))
            self.head = nn.Linear(width, 2)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


class Sum(nn.Module):
    """An ensemble: the logits of several networks added up."""

    def __init__(self, *trunks):
        super().__init__()
        self.trunks = nn.ModuleList(trunks)

    def forward(self, x):
        return sum(trunk(x) for trunk in self.trunks)


def left_bright(x):
    """A black box: the probability of class 1 is the mean brightness of the left half, from 0 (black) to 1 (white)."""
    p = x[..., : x.shape[-1] // 2].mean((1, 2, 3)) / 2 + 0.5
    return torch.stack([1 - p, p], 1)
