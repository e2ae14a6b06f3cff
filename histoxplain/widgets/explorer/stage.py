"""The image and what changed in it, to press, paint on and compare; drawn by the browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import anywidget
import numpy as np
import traitlets as t

from histoxplain.explain.change import colour_table

if TYPE_CHECKING:
    from torch import Tensor

HERE = Path(__file__).parent
KEYS = (
    "Space: hold to compare. Left and right: walk. 0 to 9: the start, or an answer. Enter: ask. "
    "Ctrl+Z, Ctrl+Y: undo, redo. P: pin. B: brush, Shift erases. Esc: stop."
)


class Stage(anywidget.AnyWidget):
    """Two pictures side by side; see `stage.js`."""

    _esm = HERE / "stage.js"
    _css = HERE / "explorer.css"
    now = t.Bytes(b"").tag(sync=True)
    """What is seen, as an encoded picture."""
    before = t.Bytes(b"").tag(sync=True)
    """What is seen while the picture is pressed."""
    change = t.Bytes(b"").tag(sync=True)
    """One byte a pixel, row by row: 1 is darker by `limit` or more, 128 no change, 255 lighter by `limit` or more."""
    limit = t.Float(1.0).tag(sync=True)
    """The change at which colours saturate; 1 is black turned white."""
    threshold = t.Float(0.05).tag(sync=True)
    """The least change that is coloured."""
    blend = t.Float(0.75).tag(sync=True)
    """How much of the colour is that of the change."""
    mask = t.Bytes(b"").tag(sync=True, from_json=lambda value, _: bytes(value or b""))
    """Where the image may change: one byte a pixel, 255 or 0; empty is everywhere."""
    brush = t.Bool(False).tag(sync=True)
    """Whether pressing paints the mask."""
    brush_size = t.Float(16.0).tag(sync=True)
    """In pixels of the image."""
    dark = t.Bool(False).tag(sync=True)
    """Whether the page is dark, as the browser says."""
    side = t.Int(420).tag(sync=True)
    resolution = t.Int(128).tag(sync=True)
    table = t.Bytes(colour_table(255).tobytes()).tag(sync=True)
    key_help = t.Unicode(KEYS).tag(sync=True)
    title_now, title_before, title_change = (t.Unicode("").tag(sync=True) for _ in range(3))
    alt_now, alt_before, alt_change = (t.Unicode("").tag(sync=True) for _ in range(3))

    def on_wish(self, act: Callable[[str], None]) -> None:
        """Call `act` with what a key asks for: "undo", "redo", "ask", "stop", "pin", "brush", "back", "forth",
        "previous", "next", or a digit.
        """
        self.on_msg(lambda _, content, __: act(str(content.get("wish", ""))) if isinstance(content, dict) else None)


class Strip(anywidget.AnyWidget):
    """Small pictures to choose from; see `strip.js`."""

    _esm = HERE / "strip.js"
    pictures = t.List(t.Bytes()).tag(sync=True)
    captions = t.List(t.Unicode()).tag(sync=True)
    label = t.Unicode("").tag(sync=True)
    chosen = t.Int(-1).tag(sync=True)
    """The number of the chosen one; -1 is none."""


def change_bytes(change: Tensor, limit: float) -> bytes:
    """A change map as `Stage.change`.

    Example:
        >>> import torch
        >>> list(change_bytes(torch.tensor([[-0.5, 0.0, 0.1, 0.2]]), limit=0.2))
        [1, 128, 192, 255]
    """
    return ((change.numpy() / limit).clip(-1, 1) * 127 + 128).round().astype(np.uint8).tobytes()
