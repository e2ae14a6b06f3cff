"""The inpainter: what an abnormal image would look like if it were normal."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoxplain._checks import check, check_images
from histoxplain._device import resolve_precision
from histoxplain.models.cyclegan.layers import grown
from histoxplain.models.inpainting.config import InpainterConfig
from histoxplain.models.inpainting.layers import ConditionalBatchNorm, DecoderBlock, EncoderBlock

NORMAL, ABNORMAL = 0, 1
"""The conditions: what the image is to become."""
EDGE = 0.95
"""Of "atanh": black and white become plus and minus this before the inverse of tanh, which has none for 1."""


class Inpainter(nn.Module):
    """Redraws an image as normal, or as abnormal: the generator of COIN (Shvetsov et al., 2024).

    A 3 x 3 convolution, residual blocks that halve the resolution, and as many that double it again and are told by
    conditional batch normalisation what is wanted. They draw a perturbation that is added to the image.

    Args:
        config: the shape.

    Example:
        >>> G = Inpainter(InpainterConfig(class_names=("normal", "ill"), resolution=32, channel_base=4, output="atanh"))
        >>> x = torch.rand(2, 1, 40, 32) * 2 - 1
        >>> G(x, torch.tensor([0, 1])).sub(x).abs().max().item() < 1e-5  # at first nothing changes
        True
    """

    def __init__(self, config: InpainterConfig) -> None:
        super().__init__()
        self.config, self.dtype = config, torch.float32
        widths = config.widths
        self.first = nn.Conv2d(config.channels, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(EncoderBlock(a, b) for a, b in pairwise(widths))
        self.decoder = nn.ModuleList(DecoderBlock(a, b, 2) for a, b in pairwise(widths[::-1]))
        self.norm = ConditionalBatchNorm(widths[0], 2)
        self.out = nn.Conv2d(widths[0], config.channels, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.to(memory_format=torch.channels_last)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, by number."""
        return self.config.class_names

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return self.config.channels

    @property
    def resolution(self) -> int:
        """Side in pixels of the images it was trained on."""
        return self.config.resolution

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Redraw.

        Args:
            x: images `(N, C, H, W)` in `[-1, 1]`, of any size.
            condition: what each is to become, `(N,)`: 0 normal, 1 abnormal; None makes all normal.

        Returns:
            Images `(N, C, H, W)` in `[-1, 1]`, float32.

        Raises:
            InputError: on images of another shape or number of channels, or a condition for another number of images.
        """
        check_images("x", x, self.channels)
        condition = torch.zeros(len(x), dtype=torch.long, device=x.device) if condition is None else condition
        check(condition.shape == (len(x),), "condition", f"have shape ({len(x)},)", tuple(condition.shape))
        step = 2**self.config.depth
        seen = grown(x, step, step).contiguous(memory_format=torch.channels_last)
        reduced = self.dtype != torch.float32
        with torch.autocast(x.device.type, self.dtype) if reduced else nullcontext():
            drawn = self._drawn(seen, condition)
        return self._image(x, drawn.float()[..., : x.shape[-2], : x.shape[-1]])

    def _drawn(self, x: Tensor, condition: Tensor) -> Tensor:
        levels = [self.first(x)]
        for block in self.encoder:
            levels.append(block(levels[-1]))
        y = levels.pop()
        for block in self.decoder:
            y, beside = block(y, condition), levels.pop()
            if len(levels) in self.config.skips:
                y = y + beside
        return self.out(F.relu(self.norm(y, condition)))

    def _image(self, x: Tensor, drawn: Tensor) -> Tensor:
        if self.config.output == "image":
            return torch.tanh(drawn)
        if self.config.output == "tanh":
            return torch.tanh(drawn + x)
        return (torch.tanh(drawn + torch.atanh(EDGE * x.clamp(-1, 1))) / EDGE).clamp(-1, 1)

    def set_precision(self, precision: str = "auto") -> Inpainter:
        """Compute convolutions in "float32", "bfloat16", "float16" or "auto"; returns self."""
        self.dtype = resolve_precision(precision, next(self.parameters()).device)
        return self
