"""Tissue drawn with compasses: every nucleus, stain and hole is known."""

import numpy as np
import pytest
import torch

from histoxplain.data.stain import H_AND_E


def develop(h, e):
    """Light through densities of both stains, `(3, H, W)` in `[-1, 1]`."""
    unit = np.array(H_AND_E) / np.linalg.norm(H_AND_E, axis=1, keepdims=True)
    light = 10 ** -(h[..., None] * unit[0] + e[..., None] * unit[1])
    return torch.from_numpy(2 * light.transpose(2, 0, 1) - 1).float()


def draw(ellipses, side=128, dark=0.6, plasm=(0.05, 0.3), hole=0):
    """Ellipses (x, y, half width, half height) with smooth rims in plasm; the `hole` lowest rows are glass."""
    y, x = np.mgrid[:side, :side] + 0.0
    cover = np.zeros((side, side))
    for cx, cy, a, b in ellipses:
        r = np.hypot((x - cx) / a, (y - cy) / b)
        cover = np.maximum(cover, np.clip((1 - r) * np.sqrt(a * b) + 0.5, 0, 1))
    tissue = (y < side - hole) * 1.0
    return develop(tissue * (plasm[0] + (dark - plasm[0]) * cover), tissue * plasm[1] * (1 - 0.5 * cover))


def grid(n, radius=5.0, side=128, tall=1.0):
    """`n` times `n` ellipses that touch neither each other nor the border."""
    at = (np.arange(n) + 0.5) * side / n
    return [(x, y, radius / tall, radius * tall) for x in at for y in at]


@pytest.fixture
def drawn():
    return draw


@pytest.fixture
def discs():
    return grid


@pytest.fixture
def stained():
    return develop
