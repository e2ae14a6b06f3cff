"""Evaluations as pictures: figures with their intervals, pairs of classes, and what changed on average."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from histoxplain._checks import check
from histoxplain.evaluation.record import FIGURES
from histoxplain.evaluation.tables import names_of, number
from histoxplain.explain.change import colour_table
from histoxplain.viz.latent_map import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from histoxplain.evaluation import Evaluation
    from histoxplain.evaluation.record import Figure as Measured

SMALL = 8
STRONG = 0.5
"""The change at which colours saturate: half as much again."""


def evaluation_figure(evaluation: Evaluation) -> Figure:
    """One evaluation: its shares with intervals, how every pair of classes fared, and what changed on average.

    Args:
        evaluation: the record.

    Returns:
        A figure; `.savefig(path)` writes it, a notebook shows it.
    """
    e = evaluation
    shares = [f for f in FIGURES if f.share and e[f.name] is not None]
    rows = max(len(shares), len(e.pairs) + 1, 3)
    height = 0.3 * rows + 1.1
    below = 0.34 * len(e.changes) + 1.5 if e.changes else 0.0
    figure = Figure(figsize=(9.0, height + below), layout="constrained")
    parts = figure.subfigures(2, 1, height_ratios=[height, below]) if e.changes else [figure]
    answers = f"{e.images} images, {e.count} counterfactual{'s' * (e.count != 1)} each"
    parts[0].suptitle(f"{e.method} on {Path(e.data).name}: {answers}", fontsize=SMALL + 2)
    left, right = parts[0].subplots(1, 2, width_ratios=[3, 2])
    _forest(left, e, shares)
    _pairs(right, e)
    if e.changes:
        _changes(parts[1].subplots(), e)
    return figure


def comparison_figure(evaluations: Sequence[Evaluation]) -> Figure:
    """Several methods side by side: every figure in a panel of its own, with one line and interval a method.

    Args:
        evaluations: at least one, best of the same images.

    Raises:
        InputError: if there is none.
    """
    check(len(evaluations) > 0, "evaluations", "hold at least one", "none")
    shown = [f for f in FIGURES if any(e[f.name] is not None for e in evaluations)]
    columns = 3
    rows = max(-(-len(shown) // columns), 1)
    figure = Figure(figsize=(10.0, rows * (0.62 + 0.24 * len(evaluations))), layout="constrained")
    names = names_of(evaluations)
    for place, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_visible(place < len(shown))
        if place < len(shown):
            _panel(axes, shown[place], evaluations, names if place % columns == 0 else [""] * len(names))
    return figure


def _panel(axes: Axes, measured: Measured, evaluations: Sequence[Evaluation], names: Sequence[str]) -> None:
    """One figure of every method."""
    for i, e in enumerate(evaluations):
        if e[measured.name] is None:
            axes.text(0.02, i, "not measured", transform=axes.get_yaxis_transform(), fontsize=SMALL, color="0.5")
        else:
            _dot(axes, i, e, measured, COLOURS[i % len(COLOURS)])
    axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6))
    if measured.share:
        axes.set_xlim(-0.03, 1.17)
        axes.set_xticks([0, 0.5, 1])
    else:
        axes.margins(x=0.22)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        if axes.dataLim.x0 >= 0:
            axes.set_xlim(left=max(axes.get_xlim()[0], -0.02 * axes.dataLim.x1))
    arrow = {"higher": " →", "lower": " ←", "": ""}[measured.better]
    axes.set_title(measured.label + arrow, fontsize=SMALL, loc="left")
    _plain(axes)


def _forest(axes: Axes, e: Evaluation, shares: Sequence[Measured]) -> None:
    """The shares of one method, one line each."""
    for i, measured in enumerate(shares):
        _dot(axes, i, e, measured, COLOURS[0])
    axes.set(yticks=range(len(shares)), yticklabels=[f.label for f in shares], ylim=(len(shares) - 0.4, -0.6))
    axes.set(xlim=(-0.03, 1.17), xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_title(f"shares, {100 * e.confidence:g} % intervals", fontsize=SMALL, loc="left")
    _plain(axes)


def _dot(axes: Axes, place: int, e: Evaluation, measured: Measured, colour: str) -> None:
    found = e.figures[measured.name]
    if math.isfinite(found.low + found.high):
        axes.plot([found.low, found.high], [place, place], color=colour, linewidth=2, alpha=0.5, solid_capstyle="butt")
    axes.plot([found.value], [place], "o", color=colour, markersize=5)
    right = max(found.value, found.high) if math.isfinite(found.high) else found.value
    offset = {"textcoords": "offset points", "xytext": (5, 0), "va": "center", "fontsize": SMALL - 1}
    axes.annotate(number(found.value, measured), (right, place), **offset)


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=SMALL, length=0)
    axes.grid(axis="x", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def _pairs(axes: Axes, e: Evaluation) -> None:
    """Bars: of each pair of classes how many images, how many first answers are valid, and how many convince both."""
    names = list(e.pairs)
    for i, name in enumerate(names):
        pair = e.pairs[name]
        axes.barh(i, pair["images"], height=0.7, color="0.9")
        axes.barh(i, pair["valid"], height=0.7, color=COLOURS[4])
        if "oracle" in pair:
            axes.barh(i, pair["oracle"], height=0.35, color=COLOURS[0])
    axes.set(yticks=range(len(names)), yticklabels=names, ylim=(max(len(names), 1) - 0.4, -0.6))
    words = ", oracle too (dark)" if any("oracle" in pair for pair in e.pairs.values()) else ""
    axes.set_title(f"images (grey), valid (light){words}", fontsize=SMALL, loc="right")
    axes.xaxis.get_major_locator().set_params(integer=True)
    _plain(axes)


def _changes(axes: Axes, e: Evaluation) -> None:
    """What changed on average: one row a pair, one column a measure; framed where chance does not explain it."""
    rows = [change["changes"] for change in e.changes.values()]
    labels = [row["label"] for row in rows[0]]
    values = np.array([[np.nan if c["change"] is None else c["change"] for c in row] for row in rows], dtype=float)
    colours = ListedColormap(colour_table()[::-1] / 255)
    axes.imshow(np.nan_to_num(values), cmap=colours, vmin=-STRONG, vmax=STRONG, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        sure = bool(rows[i][j]["clear"])
        words = "-" if not math.isfinite(value) else _signed(rows[i][j], value)
        light = math.isfinite(value) and abs(value) > 0.7 * STRONG
        style: dict[str, Any] = {"fontsize": SMALL - 1, "ha": "center", "va": "center"}
        axes.text(j, i, words, weight="bold" if sure else "normal", color="white" if light else "black", **style)
    axes.set(yticks=range(len(rows)), yticklabels=list(e.changes), xticks=range(len(labels)))
    axes.set_xticklabels(labels, rotation=25, ha="right")
    axes.set_title("what valid counterfactuals changed on average (bold: beyond chance)", fontsize=SMALL, loc="left")
    axes.tick_params(labelsize=SMALL, length=0)
    axes.spines[:].set_visible(False)


def _signed(row: dict[str, Any], value: float) -> str:
    unit = {"share": "pp", "0 round, 1 long": "pp"}.get(row["unit"], "%")
    return f"{round(100 * value) + 0:+d} {unit}".replace("+0", "0")
