"""Evaluations as text that can be read in a terminal or pasted into a paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from histoxplain._checks import check
from histoxplain.evaluation.record import FIGURES, Evaluation, Figure
from histoxplain.metrics import Interval

REASONS = {
    "oracle_flip_rate": "the bundle has no oracle",
    "stability": "no answer is valid",
    "minimality": "no answer is valid",
    "diversity": "it takes --count 2 or more",
    "fid": "it takes real images of the classes asked for",
}
"""Why a figure is missing."""


def evaluation_table(evaluation: Evaluation) -> str:
    """One evaluation: every figure with its interval and which way it should go, the pairs, and what changed.

    Example:
        >>> found = Evaluation(method="latent", data="lung.lmdb", bundle="lung", images=30, count=1, threshold=0.5,
        ...                    confidence=0.95, figures={"flip_rate": Interval(1.0, 0.884, 1.0)})
        >>> print(evaluation_table(found))
        latent on lung.lmdb, bundle lung: 30 images, 1 counterfactual each, valid from probability 0.5 on
        <BLANKLINE>
                                                95 % interval
        classifier flips (saved image)  1.00  0.88 to 1.00   higher is better
    """
    e = evaluation
    rows = [["", "", f"{100 * e.confidence:g} % interval", ""]]
    for figure in FIGURES:
        if e[figure.name] is not None:
            found = e.figures[figure.name]
            way = f"{figure.better} is better" if figure.better else ""
            rows.append([figure.label, number(found.value, figure), ends(found, figure), way])
    answers = f"{e.count} counterfactual{'s' * (e.count != 1)} each"
    images = f"{e.images} image{'s' * (e.images != 1)}"
    title = f"{e.method} on {e.data}, bundle {e.bundle}: {images}, {answers}, "
    parts = [title + f"valid from probability {e.threshold:g} on", aligned(rows)]
    missing = [
        f"{figure.label} ({REASONS[figure.name]})"
        for figure in FIGURES
        if figure.name in REASONS and e[figure.name] is None
    ]
    parts += ["not measured: " + "; ".join(missing)] if missing and e.pairs else []
    parts += [aligned(pair_rows(e))] if e.pairs else []
    parts += [aligned(factor_rows(e))] if e.factors else []
    said = [f"{name}: {change['sentence']}" for name, change in e.changes.items()]
    return "\n\n".join([*parts, "\n".join(said)] if said else parts)


def comparison_table(evaluations: Sequence[Evaluation]) -> str:
    """Several methods side by side, one column each: figures with their intervals in brackets.

    Raises:
        InputError: if there is none.
    """
    check(len(evaluations) > 0, "evaluations", "hold at least one", "none")
    rows = [["", *names_of(evaluations)], ["images", *(str(e.images) for e in evaluations)]]
    for figure in FIGURES:
        if any(e[figure.name] is not None for e in evaluations):
            arrow = f" ({figure.better} is better)" if figure.better else ""
            rows.append([figure.label + arrow, *(cell(e, figure) for e in evaluations)])
    return aligned(rows)


def names_of(evaluations: Sequence[Evaluation]) -> list[str]:
    """A name for each: its method, and what else tells it from the others."""
    names = [e.method for e in evaluations]
    for name in ("bundle", "data"):
        if len(set(names)) < len(names):
            differ = len({getattr(e, name) for e in evaluations}) > 1
            names = [f"{n}, {getattr(e, name)}" if differ else n for n, e in zip(names, evaluations)]
    return [f"{n} {i + 1}" if names.count(n) > 1 else n for i, n in enumerate(names)]


def cell(e: Evaluation, figure: Figure) -> str:
    """A figure and its interval in brackets.

    Example:
        >>> found = Evaluation(method="a", data="", bundle="", images=1, count=1, threshold=0.5, confidence=0.95,
        ...                    figures={"l1": Interval(0.12345, 0.1, 0.15)})
        >>> cell(found, FIGURES[4]), cell(found, FIGURES[0])
        ('0.123 (0.1 to 0.15)', '-')
    """
    if e[figure.name] is None:
        return "-"
    found = e.figures[figure.name]
    between = ends(found, figure)
    return number(found.value, figure) + (f" ({between})" if between else "")


def number(value: float, figure: Figure) -> str:
    """A value as printed: two decimals for shares, three digits else."""
    return f"{value:.2f}" if figure.share else f"{value:.3g}"


def ends(found: Interval, figure: Figure) -> str:
    """The interval in words; empty where there is none."""
    if not math.isfinite(found.low + found.high):
        return ""
    return f"{number(found.low, figure)} to {number(found.high, figure)}"


def pair_rows(e: Evaluation) -> list[list[str]]:
    """Rows of the pairs of classes."""
    judged = any("oracle" in pair for pair in e.pairs.values())
    rows = [["first answers", "images", "valid", *(["oracle"] if judged else [])]]
    return rows + [[name, *(str(v) for v in pair.values())] for name, pair in e.pairs.items()]


def factor_rows(e: Evaluation) -> list[list[str]]:
    """Rows of the known causes."""
    rows = [["known causes", "should change by", "changed by", "right way", "wrong way", "images"]]
    for row in e.factors:
        counts = [str(row[name]) for name in ("right", "wrong", "images")]
        rows.append([f"{row['label']}, {row['towards']}", _percent(row["true"]), _percent(row["measured"]), *counts])
    return rows


def _percent(change: Any) -> str:
    return "-" if change is None else f"{100 * change:+.0f} %"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as text: the first column to the left, the others to the right, words at the end to the left.

    Example:
        >>> print(aligned([["", "images"], ["benign", "3"]]))
                images
        benign       3
    """
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    wordy = [k == 0 or any(" is better" in row[k] for row in rows) for k in range(len(widths))]
    cells = [[c.ljust(w) if left else c.rjust(w) for c, w, left in zip(row, widths, wordy)] for row in rows]
    return "\n".join("  ".join(row).rstrip() for row in cells)
