"""Is an image a real one, and of the condition that it is said to be?"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from histoxplain.models.cyclegan.layers import grown
from histoxplain.models.inpainting.layers import CriticBlock


class ProjectionDiscriminator(nn.Module):
    """Residual blocks of spectral norm 1 whose sum is projected on the condition (Miyato & Koyama, 2018).

    Args:
        channels: of the images.
        width: feature maps of the first block, doubled at each of the next.
        depth: blocks; each halves the resolution.
        widest: feature maps of any block, at most.
        conditions: how many.

    Example:
        >>> D = ProjectionDiscriminator(1, width=4, depth=3)
        >>> D(torch.zeros(2, 1, 32, 32), torch.tensor([0, 1])).shape
        torch.Size([2, 1])
    """

    def __init__(self, channels: int, width: int = 64, depth: int = 5, widest: int = 1024, conditions: int = 2) -> None:
        super().__init__()
        widths = [channels, *(min(width * 2**level, widest) for level in range(depth))]
        self.blocks = nn.ModuleList(CriticBlock(a, b, i == 0) for i, (a, b) in enumerate(pairwise(widths)))
        self.out = spectral_norm(nn.Linear(widths[-1], 1))
        self.projection = spectral_norm(nn.Embedding(conditions, widths[-1]))
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Logits `(N, 1)`, float32: high where images look real and of their condition.

        Args:
            x: images `(N, C, H, W)` in `[-1, 1]`.
            condition: `(N,)`, what each is said to be: 0 normal, 1 abnormal.
        """
        step = 2 ** len(self.blocks)
        x = grown(x, step, step).contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x)
        features = F.relu(x).float().sum((2, 3))
        with torch.autocast(x.device.type, enabled=False):
            return self.out(features) + (self.projection(condition) * features).sum(1, keepdim=True)
