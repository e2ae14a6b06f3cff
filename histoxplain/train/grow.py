"""Start a training from another one, at the same or at twice the resolution."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import torch
from torch import Tensor, nn

from histoxplain._checks import check
from histoxplain.models.stylegan2 import Discriminator, Generator
from histoxplain.models.stylegan2.layers import Convolution


@torch.no_grad()
def transfer(into: nn.Module, source: nn.Module | Mapping[str, Tensor]) -> list[str]:
    """Copy every parameter and buffer that a network shares, in the same shape, with another network or its state.

    Returns:
        Names in `into` that found no partner and keep their fresh values.
    """
    known = dict(source.state_dict() if isinstance(source, nn.Module) else source)
    fresh = []
    for name, tensor in into.state_dict().items():
        if name in known and known[name].shape == tensor.shape:
            tensor.copy_(known[name])
        else:
            fresh.append(name)
    return fresh


@torch.no_grad()
def grow_generator(into: Generator, source: Generator, state: Mapping[str, Tensor] | None = None) -> list[str]:
    """Fill a generator from one of half its resolution; at first it makes the same images, enlarged.

    Args:
        into: the larger one.
        source: the smaller one.
        state: its weights, where they were changed to fit other labels.

    Returns:
        Names that keep fresh values: the new block.
    """
    fresh = transfer(into, source if state is None else state)
    torgb = into.synthesis.blocks[-1].torgb
    torgb.weight.zero_()
    torgb.bias.zero_()
    return fresh


@torch.no_grad()
def grow_discriminator(
    into: Discriminator, source: Discriminator, state: Mapping[str, Tensor] | None = None
) -> list[str]:
    """Fill a residual discriminator from one of half its resolution; at first it judges the shrunken image alike.

    The new block carries the image as pairs of opposite leaky ReLUs, from which a linear layer restores it exactly,
    and ends in the old network's first layer. Its other channels start random and unheard.

    Returns:
        Names that keep fresh values.

    Raises:
        InputError: if the new block has fewer feature maps than two a colour.
    """
    check(source.img_channels == into.img_channels, "start_from", "have the colours of the data to grow", "other ones")
    both = {into.config.architecture, source.config.architecture}
    check(both == {"resnet"} and not source.config.label_planes, "start_from", "be residual to grow", ", ".join(both))
    block, old, colours = into.blocks[0], source.blocks[0].fromrgb, into.img_channels
    width, least = into.config.width(into.img_resolution), 2 * into.img_channels
    check(width >= least, "channel_base", f"give {least} feature maps or more at full resolution to grow", width)
    fresh = transfer(into, source if state is None else state)
    slope, gain = 0.2, sqrt(2)
    restore = 1 / ((1 + slope) * gain)  # lrelu(x) - lrelu(-x) = (1 + slope) x
    pairs = torch.cat([torch.eye(colours), -torch.eye(colours)])
    _write(block.fromrgb, pairs, slice(0, 2 * colours))
    _write(block.conv0, pairs @ pairs.T * restore, slice(0, 2 * colours))
    weight = old.weight[:, :, 0, 0] * old.weight_gain * sqrt(2)  # undoes the branch's gain of sqrt(1/2)
    block.conv1.weight.zero_()
    _write(block.conv1, weight @ pairs.T * restore, slice(0, len(weight)))
    block.conv1.bias.copy_(old.bias * sqrt(2))
    block.skip.weight.zero_()
    return fresh


def _write(layer: Convolution, matrix: Tensor, rows: slice) -> None:
    """Make the first output channels compute `matrix @ x` from the first input channels."""
    middle = layer.weight.shape[-1] // 2
    layer.weight[rows] = 0
    layer.weight[rows, : matrix.shape[1], middle, middle] = matrix.to(layer.weight) / layer.weight_gain
    layer.bias[rows] = 0
