"""Maps of attribution in colours that the common kinds of colour blindness tell apart, alone or over the image."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from histoxplain.data import to_uint8

# Matplotlib's plasma for maps that only grow; blue against orange, of equal weight, for maps with a sign.
GROWING = ("0d0887", "5c01a6", "9c179e", "cc4778", "ed7953", "fdb42f", "f0f921")
SIGNED = ("1450d2", "3b7dff", "7fabff", "b9b9b9", "ffc04d", "fe9000", "e86100")
LUMA = (0.299, 0.587, 0.114)
OPAQUE = 0.8
_MIDDLE = 128


def map_limits(map: Tensor, signed: bool = True) -> tuple[float, float]:
    """The values at which the colours begin and end.

    Args:
        map: `(H, W)`.
        signed: whether values below 0 mean something: then 0 is in the middle, and the ends are the 99.5th percentile
            of the values' size. Else the ends are the smallest value and the 99.5th percentile.

    Example:
        >>> map_limits(torch.tensor([[0.0, -2.0]])), map_limits(torch.tensor([[3.0, 3.0]]), signed=False)
        ((-1.99..., 1.99...), (3.0, 3.0))
    """
    values = map.detach().float().flatten().cpu()
    if not signed:
        return float(values.min()), _quantile(values) or float(values.max())
    limit = _quantile(values.abs()) or float(values.abs().max()) or 1.0
    return -limit, limit


def _quantile(values: Tensor) -> float:
    return float(torch.quantile(values[:: max(1, values.numel() // 1_000_000)], 0.995))


def colour_table(signed: bool, steps: int = 257) -> np.ndarray:
    """The colours from least to most, `(steps, 3)` uint8."""
    colours = SIGNED if signed else GROWING
    anchors = np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in colours], dtype=float)
    at = np.linspace(0, len(anchors) - 1, steps)
    return np.stack([np.interp(at, np.arange(len(anchors)), anchors[:, i]) for i in range(3)], 1).round().astype("u1")


def bar_table(signed: bool, steps: int = 257) -> np.ndarray:
    """The colours as they look over mid-grey, `(steps, 3)` uint8: what a colour bar beside an overlay should show."""
    v = torch.linspace(-1 if signed else 0, 1, steps)[None]
    return _blend(np.full((1, steps), _MIDDLE), v, signed)[0]


def paint_map(map: Tensor, limits: tuple[float, float] | None = None, signed: bool = True) -> np.ndarray:
    """Colour a map.

    Args:
        map: `(H, W)`.
        limits: the values at which the colours begin and end; by default `map_limits(map, signed)`.
        signed: whether values below 0 mean something.

    Returns:
        `(H, W, 3)` uint8; signed: orange speaks for, blue against, grey is nothing; else from dark blue to yellow.

    Example:
        >>> paint_map(torch.zeros(1, 1)).tolist()
        [[[185, 185, 185]]]
    """
    return _colours(_scaled(map, limits, signed), signed)


def overlay(x: Tensor, map: Tensor, limits: tuple[float, float] | None = None, signed: bool = True) -> np.ndarray:
    """A map over its image in grey; where the map says nothing, the image is seen as it is.

    Args:
        x: the image, `(C, H, W)` in `[-1, 1]`.
        map: `(H, W)`.
        limits: as in `paint_map`.
        signed: as in `paint_map`.

    Returns:
        `(H, W, 3)` uint8.

    Example:
        >>> overlay(torch.ones(3, 1, 1), torch.zeros(1, 1)).tolist()
        [[[255, 255, 255]]]
    """
    u8 = to_uint8(x.detach().cpu()).double()
    grey = u8[0] if len(u8) != 3 else torch.einsum("c,chw->hw", torch.tensor(LUMA).double(), u8)
    return _blend(grey.numpy(), _scaled(map, limits, signed), signed)


def _scaled(map: Tensor, limits: tuple[float, float] | None, signed: bool) -> Tensor:
    """From 0 to 1, or -1 to 1 with a sign."""
    low, high = map_limits(map, signed) if limits is None else limits
    share = (map.detach().cpu().double() - low) / ((high - low) or 1.0)
    return (share * 2 - 1).clamp(-1, 1) if signed else share.clamp(0, 1)


def _colours(v: Tensor, signed: bool) -> np.ndarray:
    place = (v + 1) * 128 if signed else v * 256
    return colour_table(signed)[place.round().numpy().astype(int)]


def _blend(grey: np.ndarray, v: Tensor, signed: bool) -> np.ndarray:
    weight = OPAQUE * v.abs().numpy()[..., None] ** 0.75
    return (grey[..., None] * (1 - weight) + _colours(v, signed) * weight).round().astype("u1")
