"""Homogeneous matrices for whole batches: arguments are numbers or tensors `(N,)`, results `(N, d, d)` or `(d, d)`."""

from __future__ import annotations

import torch
from torch import Tensor

Entry = float | Tensor


def matrix(rows: list[list[Entry]], device: torch.device | None = None) -> Tensor:
    """Stack rows of numbers and `(N,)` tensors into `(N, d, d)`; `(d, d)` if all are numbers.

    Example:
        >>> matrix([[1, torch.tensor([2.0, 3.0])], [0, 1]]).shape
        torch.Size([2, 2, 2])
    """
    tensors = [entry for row in rows for entry in row if isinstance(entry, Tensor)]
    if not tensors:
        return torch.tensor(rows, dtype=torch.float32, device=device)
    like = tensors[0]
    entries = [e if isinstance(e, Tensor) else torch.full_like(like, e) for row in rows for e in row]
    return torch.stack(entries, -1).reshape(*like.shape, len(rows), -1)


def translate2d(x: Entry, y: Entry, **to: torch.device) -> Tensor:
    """Move by `(x, y)`."""
    return matrix([[1, 0, x], [0, 1, y], [0, 0, 1]], **to)


def scale2d(x: Entry, y: Entry, **to: torch.device) -> Tensor:
    """Scale by `(x, y)`."""
    return matrix([[x, 0, 0], [0, y, 0], [0, 0, 1]], **to)


def rotate2d(angle: Tensor, **to: torch.device) -> Tensor:
    """Turn by `angle` radians."""
    sin, cos = angle.sin(), angle.cos()
    return matrix([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], **to)


def translate3d(t: Tensor) -> Tensor:
    """Add `t` to all three colours."""
    return matrix([[1, 0, 0, t], [0, 1, 0, t], [0, 0, 1, t], [0, 0, 0, 1]])


def scale3d(s: Tensor) -> Tensor:
    """Scale all three colours by `s`."""
    return matrix([[s, 0, 0, 0], [0, s, 0, 0], [0, 0, s, 0], [0, 0, 0, 1]])


def rotate3d(axis: Tensor, angle: Tensor) -> Tensor:
    """Turn colours about the unit vector `axis` `(3,)` by `angle` radians (Rodrigues' formula)."""
    x, y, z = axis.tolist()
    sin, cos = angle.sin(), angle.cos()
    rest = 1 - cos
    return matrix(
        [
            [x * x * rest + cos, x * y * rest - z * sin, x * z * rest + y * sin, 0],
            [y * x * rest + z * sin, y * y * rest + cos, y * z * rest - x * sin, 0],
            [z * x * rest - y * sin, z * y * rest + x * sin, z * z * rest + cos, 0],
            [0, 0, 0, 1],
        ]
    )
