"""What stands beside the pictures: opinions, what changed, and text for those who do not see; small HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import ipywidgets as ipw

from histoxplain._checks import InputError
from histoxplain.viz.latent_map import class_colours

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.explain import Comparison
    from histoxplain.widgets.place import Sight


def opinions_html(now: Sight, before: Tensor, class_names: Sequence[str], whose: str) -> str:
    """A bar a class: filled is now, the dashed line is before, the thin line holds further opinions.

    Args:
        now: what is seen.
        before: probabilities of what it is compared with, (K,).
        class_names: the K classes.
        whose: opinions the thin line holds, in words.
    """
    cells = []
    for k, (name, colour) in enumerate(class_colours(class_names).items()):
        p, was = float(now.probabilities[k]), float(before[k])
        fill = f"<div class='hx-fill' style='width:{100 * p:.1f}%;background:{colour}'></div>"
        line = f"<div class='hx-was' style='left:calc({100 * was:.1f}% - 1px)'></div>" if abs(p - was) > 0.01 else ""
        spread, between = "", ""
        if now.low is not None:
            low, high = float(now.low[k]), float(now.high[k])
            spread = f"<div class='hx-range' style='left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%'></div>"
            between = f" <small>{100 * low:.0f}&ndash;{100 * high:.0f}</small>" if high - low >= 0.01 else ""
        said = f"{name} {p:.0%}, before {was:.0%}"
        cells.append(
            f"<div class='hx-name'>{escape(name)}</div>"
            f"<div class='hx-track' role='img' aria-label='{escape(said)}'>{fill}{spread}{line}</div>"
            f"<div class='hx-number'>{p:.0%}{between}</div>"
        )
    bars = f"<div class='hx-bars'>{''.join(cells)}</div>"
    return bars + f"<div class='hx-note'>dashed: before; thin line and small numbers: {escape(whose)}</div>"


def opinion(sight: Sight, class_names: Sequence[str]) -> str:
    """The most probable class in words: "benign 97%"."""
    p = sight.probabilities
    return f"{class_names[int(p.argmax())]} {float(p.max()):.0%}"


def measured_html(comparison: Comparison) -> str:
    """What changed in the pathologist's units, as a table: what is clear first, what may be noise in grey."""
    rows = sorted(comparison.rows(), key=lambda row: not row["clear"])
    lines = [
        f"<tr{'' if row['clear'] else ' class=hx-noise'}><td>{escape(row['label'])}</td>"
        f"<td>{_number(row['before'], row['unit'])}</td><td>{_number(row['after'], row['unit'])}</td>"
        f"<td>{_change(row['change'], row['unit'], comparison[row['name']].measure.points)}</td></tr>"
        for row in rows
    ]
    head = "<tr><th>measure</th><th>before</th><th>now</th><th>change</th></tr>"
    note = "grey: no more than the noise of measuring"
    words = f"<div style='line-height:18px'>{escape(comparison.sentence())}</div>"
    return f"{words}<table class='hx-table'>{head}{''.join(lines)}</table><div class='hx-note'>{note}</div>"


def _number(value: float, unit: str) -> str:
    if not math.isfinite(value):
        return "&ndash;"
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    said = unit if unit in ("px²", "µm²", "bits", "per mm²") else ""
    return f"{value:.0%}" if unit == "share" else f"{number} {said}".strip()


def _change(change: float, unit: str, points: bool) -> str:
    if not math.isfinite(change):
        return "&ndash;"
    if points and unit == "share":
        return f"{100 * change:+.0f} points"
    return f"{change:+.2f}" if points else f"{change:+.0%}"


class Notice(ipw.HTML):
    """One line: what is being done, or what went wrong and how to go on; read aloud by screen readers."""

    def __init__(self) -> None:
        super().__init__()
        self.add_class("hx-message")

    def report(self, error: Exception | None) -> None:
        """Show an error; None takes the last error away."""
        if error is not None:
            text = str(error) if isinstance(error, InputError | ImportError) else f"{type(error).__name__}: {error}"
            self.value = f"<div role='alert' class='hx-error'>{escape(text)}</div>"
        elif "hx-error" in self.value:
            self.value = ""

    def tell(self, text: str, busy: bool = False) -> None:
        """Show a remark, with something that turns while work is under way; warnings stand out."""
        kind = "hx-warning" if text.startswith("Do not trust") else "hx-note"
        self.value = f"<div role='status' class='{kind}{' hx-busy' * busy}'>{escape(text)}</div>" if text else ""
