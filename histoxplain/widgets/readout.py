"""What stands beside the picture: probability bars, a probability curve with a cursor, and messages; small HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import ipywidgets as ipw

from histoxplain._checks import InputError
from histoxplain.viz.latent_map import class_colours

if TYPE_CHECKING:
    from torch import Tensor


def bars_html(probabilities: Tensor | Sequence[float], class_names: Sequence[str], width: int = 420) -> str:
    """One bar a class, in the class's colour, as HTML.

    Args:
        probabilities: K numbers in [0, 1].
        class_names: the K classes.
        width: in pixels.
    """
    rows = []
    for p, (name, colour) in zip(map(float, probabilities), class_colours(class_names).items()):
        bar = f"<div style='width:{100 * p:.1f}%;background:{colour};height:100%'></div>"
        rows.append(
            f"<div style='flex:0 0 40%;overflow:hidden;text-overflow:ellipsis'>{escape(name)}</div>"
            f"<div style='flex:1;background:#eee;height:12px'>{bar}</div>"
            f"<div style='flex:0 0 12%;text-align:right'>{p:.0%}</div>"
        )
    row = "<div style='display:flex;align-items:center;line-height:18px'>"
    body = "".join(f"{row}{content}</div>" for content in rows)
    return f"<div style='width:{width}px;font-size:13px'>{body}</div>"


def curve_html(
    probabilities: Tensor, class_names: Sequence[str], at: int, threshold: float | None = None, width: int = 420
) -> str:
    """Probability of every class along a path, with a cursor, as inline SVG: quick enough to follow a slider.

    Args:
        probabilities: shape (S, K), one row a step.
        class_names: the K classes.
        at: the step to put the cursor on.
        threshold: a dotted line at this probability.
        width: in pixels; the height is half of it.

    Example:
        >>> import torch
        >>> curve_html(torch.eye(2), ["benign", "squamous"], at=0).count("<polyline")
        2
    """
    left, top, right, bottom, height = 40, 10, width - 8, width / 2 - 34, width / 2
    x = [left + (right - left) * i / max(1, len(probabilities) - 1) for i in range(len(probabilities))]
    colours = class_colours(class_names)
    parts = [_ruled(left, top, right, bottom)]
    if threshold is not None:
        y = bottom - (bottom - top) * threshold
        parts.append(f"<line x1='{left}' x2='{right}' y1='{y}' y2='{y}' stroke='#888' stroke-dasharray='3 4'/>")
    for k, colour in enumerate(colours.values()):
        y = [bottom - (bottom - top) * float(p) for p in probabilities[:, k]]
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y))
        parts.append(f"<polyline points='{line}' fill='none' stroke='{colour}' stroke-width='2.5'/>")
        parts.append(f"<circle cx='{x[at]:.1f}' cy='{y[at]:.1f}' r='4' fill='{colour}'/>")
    parts.append(f"<line x1='{x[at]:.1f}' x2='{x[at]:.1f}' y1='{top}' y2='{bottom}' stroke='black'/>")
    svg = f"<svg width='{width}' height='{height}' font-size='11' font-family='sans-serif'>{''.join(parts)}</svg>"
    keys = "".join(f"<span style='color:{c};margin-right:12px'>&#9644; {escape(n)}</span>" for n, c in colours.items())
    return f"<div style='width:{width}px;font-size:12px;line-height:16px'>{svg}<br>{keys}</div>"


def _ruled(left: float, top: float, right: float, bottom: float) -> str:
    """The axes of the curve: lines at 0, 50 and 100 %, and what lies at the two ends."""
    parts = []
    for p in (0, 0.5, 1):
        y = bottom - (bottom - top) * p
        parts.append(f"<line x1='{left}' x2='{right}' y1='{y}' y2='{y}' stroke='#ddd'/>")
        parts.append(f"<text x='{left - 6}' y='{y + 4}' text-anchor='end'>{p:.0%}</text>")
    parts.append(f"<text x='{left}' y='{bottom + 18}'>original</text>")
    parts.append(f"<text x='{right}' y='{bottom + 18}' text-anchor='end'>counterfactual</text>")
    return "".join(parts)


class Message(ipw.HTML):
    """One line under the widget: what was done, or what went wrong and how to go on."""

    def report(self, error: Exception | None) -> None:
        """Show an error, or clear the line."""
        if error is None:
            self.value = ""
        else:
            text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            self.value = f"<div style='color:#b00020;line-height:18px;white-space:normal'>{escape(text)}</div>"

    def tell(self, text: str) -> None:
        """Show a plain remark."""
        self.value = f"<div style='color:#666;line-height:18px'>{escape(text)}</div>"
