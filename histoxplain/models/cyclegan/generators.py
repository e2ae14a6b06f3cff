"""Image to image: the attention U-Net and the ResNet generator, before what they draw becomes an image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from histoxplain.models.cyclegan.instance_norm import InstanceNorm


class AttentionGate(nn.Module):
    """How much of a skip to let through at each pixel, `(N, 1, H, W)` in (0, 1) (Oktay et al., 2018).

    Args:
        channels: of the skip and of the gating features, which have its size.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        between = max(channels // 2, 1)
        self.skip = nn.Conv2d(channels, between, 1, bias=False)
        self.gate = nn.Conv2d(channels, between, 1)
        self.out = nn.Conv2d(between, 1, 1)

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        """The skip, weighted."""
        return skip * torch.sigmoid(self.out(torch.relu(self.skip(skip) + self.gate(gate))))


class AttentionUNet(nn.Module):
    """Strided 4 x 4 convolutions down, enlarging and 3 x 3 ones up, and gated skips between equal resolutions.

    Enlarging rather than transposed convolutions, because these leave grids in images (Odena et al., 2016).

    Args:
        inputs: channels of the image and of what is told beside it.
        outputs: channels drawn.
        width: feature maps of the first layer, doubled at each of the next three.
        depth: halvings of the resolution.
    """

    def __init__(self, inputs: int, outputs: int, width: int = 32, depth: int = 4) -> None:
        super().__init__()
        widths = [width * 2 ** min(level, 3) for level in range(depth)]
        self.multiple, self.least = 2**depth, 2 ** (depth + 1)
        self.down = nn.ModuleList(_down(a, b, first=i == 0) for i, (a, b) in enumerate(zip([inputs, *widths], widths)))
        above = widths[::-1]
        joined = [above[0], *(2 * w for w in above[1:])]
        self.up = nn.ModuleList(_up(a, b) for a, b in zip(joined, above[1:]))
        self.gates = nn.ModuleList(AttentionGate(w) for w in above[1:])
        self.enlarge = nn.Upsample(scale_factor=2)
        self.out = nn.Conv2d(joined[-1], outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, inputs, H, W)` to `(N, outputs, H, W)`; both sides multiples of `multiple`, at least `least`."""
        skips = []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        for layer, gate, skip in zip(self.up, self.gates, skips[-2::-1]):
            x = layer(x)
            x = torch.cat([x, gate(skip, x)], 1)
        return self.out(self.enlarge(x))


def _down(inputs: int, outputs: int, first: bool) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=first)
    norm = [] if first else [InstanceNorm(outputs)]
    return nn.Sequential(convolution, *norm, nn.LeakyReLU(0.2))


def _up(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(nn.Upsample(scale_factor=2), convolution, InstanceNorm(outputs), nn.ReLU())


class ResNetGenerator(nn.Module):
    """7 x 7 convolution, two halvings, residual blocks, two doublings, 7 x 7 convolution (Zhu et al., 2017).

    Args:
        inputs: channels of the image and of what is told beside it.
        outputs: channels drawn.
        width: feature maps of the first layer; 64 in the paper.
        blocks: residual blocks; 6 at 128 px, 9 from 256 px on in the paper.
    """

    def __init__(self, inputs: int, outputs: int, width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.multiple, self.least = 4, 8
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, width, 7, padding=3, padding_mode="reflect", bias=False),
            *(InstanceNorm(width), nn.ReLU()),
            *_resized(nn.Conv2d(width, 2 * width, 3, 2, 1, bias=False)),
            *_resized(nn.Conv2d(2 * width, 4 * width, 3, 2, 1, bias=False)),
            *(ResidualBlock(4 * width) for _ in range(blocks)),
            *_resized(nn.ConvTranspose2d(4 * width, 2 * width, 3, 2, 1, 1, bias=False)),
            *_resized(nn.ConvTranspose2d(2 * width, width, 3, 2, 1, 1, bias=False)),
        )
        self.out = nn.Conv2d(width, outputs, 7, padding=3, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        """`(N, inputs, H, W)` to `(N, outputs, H, W)`; both sides multiples of 4, at least 8."""
        return self.out(self.layers(x))


def _resized(convolution: nn.Module) -> tuple[nn.Module, ...]:
    return convolution, InstanceNorm(convolution.out_channels), nn.ReLU()


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        parts = []
        for _ in range(2):
            convolution = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False)
            parts += [convolution, InstanceNorm(channels), nn.ReLU()]
        self.layers = nn.Sequential(*parts[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Equal shapes in and out."""
        return x + self.layers(x)
