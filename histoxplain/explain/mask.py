"""Where an image may change: a mask that was drawn, loaded or segmented."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from histoxplain._checks import check, check_exists
from histoxplain.data import read_image

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    AnyMask = Tensor | ArrayLike | str | Path | Image.Image

_WAY_OUT = "draw it in white on black, as large as the image"


def mask_of(mask: AnyMask, resolution: int) -> Tensor:
    """A mask as searches take it.

    Args:
        mask: what may change: `(H, W)` bool or numbers in `[0, 1]`, an array or tensor; 8-bit numbers where 255 (or,
            where none is larger than 1, 1) is "may change"; a PIL image or a file, whose white may change. Between
            black and white lies a soft edge.
        resolution: side of the images; a larger square mask is shrunk to it.

    Returns:
        `(resolution, resolution)` in `[0, 1]`, float32.

    Raises:
        InputError: if it has another shape, holds other numbers, or allows nothing to change.

    Example:
        >>> mask_of([[0, 0], [0, 255]], 2).tolist()
        Traceback (most recent call last):
        histoxplain._checks.InputError: `mask` must hold numbers from 0 to 1, got 0 to 255; divide by the largest.
        >>> mask_of(torch.tensor([[0, 0], [0, 255]], dtype=torch.uint8), 2).tolist()
        [[0.0, 0.0], [0.0, 1.0]]
    """
    x = _numbers(mask)
    x = x.squeeze(0) if x.ndim == 3 and len(x) == 1 else x
    shape, side = tuple(x.shape), resolution
    ok = x.ndim == 2 and shape[0] == shape[1] >= side
    check(ok, "mask", f"be {side} x {side} numbers (or a larger square)", " x ".join(map(str, shape)), _WAY_OUT)
    low, high = (float(end) for end in x.aminmax())
    ok = bool(x.isfinite().all()) and low >= 0 and high <= 1
    check(ok, "mask", "hold numbers from 0 to 1", f"{low:g} to {high:g}", "divide by the largest")
    if side != shape[0]:
        x = F.interpolate(x[None, None], size=(side, side), mode="area")[0, 0]
    check(float(x.max()) > 0, "mask", "allow something to change", "zero everywhere", _WAY_OUT)
    return x


def _numbers(mask: Any) -> Tensor:
    if isinstance(mask, str | Path):
        mask = read_image(check_exists("mask", mask), channels=1)
    elif isinstance(mask, Image.Image):
        mask = np.array(mask.convert("L"))
    try:
        x = torch.as_tensor(mask if isinstance(mask, Tensor) else np.asarray(mask)).detach().cpu()
    except (TypeError, ValueError):
        check(False, "mask", "be an array of numbers, an image or a file", type(mask).__name__, _WAY_OUT)
    if x.dtype != torch.uint8:
        return x.float()
    return x / 255 if x.numel() and int(x.max()) > 1 else x.float()
