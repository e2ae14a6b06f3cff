"""Blocks of the inpainter and its discriminator, and the normalisation that is told what is wanted."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

MOMENTUM = 0.1


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation with a gain and a shift for each condition (de Vries et al., 2017).

    Args:
        channels: of the features.
        conditions: how many; 1 makes it ordinary batch normalisation.

    Example:
        >>> norm = ConditionalBatchNorm(1, conditions=2)
        >>> x = torch.tensor([0.0, 2.0]).reshape(2, 1, 1, 1)
        >>> norm(x, torch.tensor([0, 1])).flatten().round(decimals=3).tolist()
        [-1.0, 1.0]
    """

    def __init__(self, channels: int, conditions: int = 1) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(conditions, channels))
        self.shift = nn.Parameter(torch.zeros(conditions, channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Features `(N, C, H, W)`, normalised and then scaled and shifted as `condition` `(N,)` says."""
        if len(self.gain) == 1:
            return self._normalised(x, self.gain[0], self.shift[0])
        x = self._normalised(x, None, None)
        gain, shift = (table[condition].to(x.dtype)[..., None, None] for table in (self.gain, self.shift))
        return torch.addcmul(shift, x, gain)

    def _normalised(self, x: Tensor, gain: Tensor | None, shift: Tensor | None) -> Tensor:
        return F.batch_norm(x, self.mean, self.variance, gain, shift, self.training, MOMENTUM)


class EncoderBlock(nn.Module):
    """Two normalised 3 x 3 convolutions beside a 1 x 1 one, and half the resolution by averaging."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([ConditionalBatchNorm(inputs), ConditionalBatchNorm(outputs)])
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)]
        )
        self.beside = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, inputs, H, W)` to `(N, outputs, H / 2, W / 2)`."""
        y = x
        for norm, convolution in zip(self.norms, self.convolutions):
            y = convolution(F.relu(norm(y)))
        return F.avg_pool2d(y, 2) + self.beside(F.avg_pool2d(x, 2))


class DecoderBlock(nn.Module):
    """Twice the resolution, and two 3 x 3 convolutions, normalised as the condition says, beside a 1 x 1 one."""

    def __init__(self, inputs: int, outputs: int, conditions: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([ConditionalBatchNorm(n, conditions) for n in (inputs, outputs)])
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)]
        )
        self.beside = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """`(N, inputs, H, W)` to `(N, outputs, 2 H, 2 W)`."""
        y = F.interpolate(F.relu(self.norms[0](x, condition)), scale_factor=2)
        y = self.convolutions[0](y)
        y = self.convolutions[1](F.relu(self.norms[1](y, condition)))
        return y + F.interpolate(self.beside(x), scale_factor=2)


class CriticBlock(nn.Module):
    """Two 3 x 3 convolutions of spectral norm 1 beside a 1 x 1 one, and half the resolution (Miyato & Koyama, 2018).

    Args:
        inputs, outputs: feature maps.
        first: what comes in is the image, which no activation has been through.
    """

    def __init__(self, inputs: int, outputs: int, first: bool = False) -> None:
        super().__init__()
        self.first = first
        self.convolutions = nn.ModuleList(
            [
                spectral_norm(nn.Conv2d(inputs, outputs, 3, padding=1)),
                spectral_norm(nn.Conv2d(outputs, outputs, 3, padding=1)),
            ]
        )
        self.beside = spectral_norm(nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """`(N, inputs, H, W)` to `(N, outputs, H / 2, W / 2)`."""
        y = self.convolutions[0](x if self.first else F.relu(x))
        y = self.convolutions[1](F.relu(y))
        return F.avg_pool2d(y, 2) + self.beside(F.avg_pool2d(x, 2))
