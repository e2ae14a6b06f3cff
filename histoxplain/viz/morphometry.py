"""Measurements beside the pictures they were made of: nuclei outlined, the change in words below."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from skimage.segmentation import find_boundaries

from histoxplain.explain.morphometry import Comparison, compare_explanation, segment_nuclei
from histoxplain.viz.figures import _picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

    from histoxplain.explain import Explanation, Measurements

OUTLINE = "#f7e225"
"""Yellow: neither stain has it."""
FINE = 4
"""Dots of an outline to a pixel of the image."""
WIDTH = 38
"""Letters in a line of a caption."""
SAID = ("nuclei", "nuclear_size", "darkness", "white")
"""What captions give of H&E."""


def outlined_nuclei(
    explanation: Explanation,
    kind: str = "auto",
    microns: float | None = None,
    diameter: float | None = None,
    side: float = 2.6,
) -> Figure:
    """What each counterfactual changed, as measurements: nuclei outlined, numbers and the clear changes below.

    Args:
        explanation: the record.
        kind: see `hx.explain.compare_explanation`.
        microns: side of a pixel in µm.
        diameter: of typical nuclei in pixels, if it is known.
        side: of each image, in inches.

    Returns:
        A figure: what the changes started from, then the counterfactuals. Without counterfactuals it is empty.
    """
    comparisons = compare_explanation(explanation, kind, microns, diameter)
    lines = max((_caption(c.after, c).count("\n") for c in comparisons), default=0) + 2
    figure = Figure(figsize=(side * (len(comparisons) + 1), side + 0.4 + 0.17 * lines), layout="constrained")
    if not comparisons:
        return figure
    first, *others = figure.subplots(1, len(comparisons) + 1)
    _outlined(first, explanation.reference, comparisons[0].before, comparisons[0].against)
    for i, (axes, comparison) in enumerate(zip(others, comparisons)):
        _outlined(axes, explanation.counterfactuals[i], comparison.after, f"counterfactual {i + 1}", comparison)
    return figure


def _outlined(axes: Axes, x: Tensor, found: Measurements, title: str, comparison: Comparison | None = None) -> None:
    _picture(axes, x, title, _caption(found, comparison))
    if found.kind != "h&e":
        return
    nuclei, (height, width) = segment_nuclei(x, found.yardstick), x.shape[-2:]
    labels = np.kron(nuclei.labels, np.ones((FINE // nuclei.zoom,) * 2, dtype=np.int32))
    lines = np.zeros((*labels.shape, 4))
    lines[find_boundaries(labels, mode="inner")] = to_rgba(OUTLINE)
    axes.imshow(lines, extent=(-0.5, width - 0.5, height - 0.5, -0.5))


def _caption(found: Measurements, comparison: Comparison | None) -> str:
    rows = [row for row in found.rows() if (row["name"] in SAID) == (found.kind == "h&e")][:4]
    words = ["; ".join(f"{row['label']} {_number(**row)}" for row in rows)]
    words += [comparison.sentence()] if comparison is not None else []
    return "\n".join(line for text in words for line in textwrap.wrap(text, WIDTH))


def _number(value: float, unit: str, **_: str) -> str:
    return f"{value:.0%}" if unit == "share" else f"{value:.3g} {unit}".strip()
