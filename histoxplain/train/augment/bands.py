"""Stronger and weaker bands of frequencies: one filter for each image of a batch."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from histoxplain.train.augment.draws import Draw, gaussian

SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)
"""Daubechies' least asymmetric wavelet with 2 vanishing moments."""
EXPECTED_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)
"""Share of a natural image's power in the four bands of `filter_bank`."""


def filter_bank() -> Tensor:
    """Four band-pass filters that sum to the identity, shape `(4, 43)`, from low to high frequencies.

    Example:
        >>> filter_bank().sum(0).round(decimals=6).nonzero().flatten().tolist(), filter_bank().shape
        ([21], torch.Size([4, 43]))
    """
    low = np.array(SYM2)
    high = low * (-1) ** np.arange(len(low))
    low, high = np.convolve(low, low[::-1]) / 2, np.convolve(high, high[::-1]) / 2
    bank = np.eye(4, 1)
    for band in range(1, 4):
        spread = np.zeros((4, 2 * bank.shape[1] - 1))
        spread[:, ::2] = bank
        bank = np.stack([np.convolve(row, low) for row in spread])
        middle, reach = bank.shape[1] // 2, len(high) // 2
        bank[band, middle - reach : middle + reach + 1] += high
    return torch.as_tensor(bank, dtype=torch.float32)


def band_gains(draw: Draw) -> Tensor:
    """Gain of each of the four bands, `(N, 4)`, with the expected power kept."""
    gains = torch.ones(draw.n, 4, device=draw.device)
    power = torch.tensor(EXPECTED_POWER, device=draw.device)
    std = draw["imgfilter_std"]
    for band, strength in enumerate(draw["imgfilter_bands"]):
        chance = draw["imgfilter"] * draw.p * strength
        drawn = torch.exp2(draw.normal() * std)
        t = torch.ones(draw.n, 4, device=draw.device)
        t[:, band] = draw.pick(chance, drawn, 1, lambda q, s=strength: torch.exp2(gaussian(q) * std) if s else 1.0)
        gains = gains * t / (power * t.square()).sum(1, keepdim=True).sqrt()
    return gains


def filter_bands(images: Tensor, taps: Tensor) -> Tensor:
    """Filter each image `(N, C, H, W)` with its own symmetric taps `(N, T)` along both axes."""
    n, channels, height, width = images.shape
    reach, groups = taps.shape[1] // 2, n * channels
    weight = taps.repeat_interleave(channels, 0)[:, None, None]
    flat = F.pad(images.reshape(1, groups, height, width), (reach,) * 4, mode="reflect")
    flat = F.conv2d(F.conv2d(flat, weight, groups=groups), weight.transpose(2, 3), groups=groups)
    return flat.reshape(images.shape)
