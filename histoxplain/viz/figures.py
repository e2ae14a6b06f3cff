"""Explanations as matplotlib figures: strips, film strips, probability bars, grids of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from histoxplain._checks import check, check_images
from histoxplain.data import to_uint8
from histoxplain.explain.change import DARKER, LIGHTER, change_limit, colour_table
from histoxplain.viz.latent_map import class_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from histoxplain.explain import Explanation, Film

SMALL = 8
"""Font size of captions, in points."""
NARROWEST = 4.8
"""Inches that the legend of a film strip's curve needs."""


def _pixels(x: Tensor) -> np.ndarray:
    """`(C, H, W)` in `[-1, 1]` as an array that matplotlib draws in its true colours."""
    u8 = to_uint8(x.detach().cpu()).numpy()
    return np.repeat(u8, 3, 0).transpose(1, 2, 0) if len(u8) == 1 else u8.transpose(1, 2, 0)


def _picture(axes: Axes, x: Tensor, title: str = "", caption: str = "") -> None:
    axes.imshow(_pixels(x), interpolation="nearest")
    axes.set_title(title, fontsize=SMALL)
    axes.set_xlabel(caption, fontsize=SMALL)
    _bare(axes)


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _change(axes: Axes, change: Tensor, limit: float) -> AxesImage:
    colours = ListedColormap(colour_table() / 255)
    image = axes.imshow(change.cpu().numpy(), cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_title("what changed", fontsize=SMALL)
    _bare(axes)
    return image


def strip(explanation: Explanation, side: float = 1.7) -> Figure:
    """An explanation in one picture: original, reconstruction, and each counterfactual above the map of its change.

    Args:
        explanation: the record.
        side: of each image, in inches.

    Returns:
        A figure; `.savefig(path)` writes it, a notebook shows it.
    """
    e, target = explanation, explanation.class_names[explanation.target_class]
    before = [("original", e.original)] + (
        [("reconstruction", e.reconstruction)] if e.reconstruction is not None else []
    )
    columns = len(before) + len(e)
    figure = Figure(figsize=(side * columns + 1.0, 2 * side + 0.9), layout="constrained")
    figure.suptitle(f"{e.case_id}: {e.class_names[e.source_class]} to {target}", fontsize=SMALL + 2)
    axes = figure.subplots(2, columns, squeeze=False)
    for column, (name, image) in enumerate(before):
        p = f"{target} {e.probabilities_before[e.target_class]:.0%}" if name == "original" else ""
        _picture(axes[0, column], image, name, p)
        axes[1, column].set_visible(False)
    limit = change_limit(e.change)
    for i, image in enumerate(e.counterfactuals):
        name = f"counterfactual {i + 1}" if e.valid[i] else f"attempt {i + 1}: not reached"
        _picture(axes[0, len(before) + i], image, name, f"{target} {e.probabilities_after[i, e.target_class]:.0%}")
        drawn = _change(axes[1, len(before) + i], e.change[i], limit)
    if len(e):
        _colour_bar(figure, drawn, axes[1, len(before) :].tolist(), limit)
    return figure


def _colour_bar(figure: Figure, drawn: AxesImage, axes: list[Axes], limit: float) -> None:
    bar = figure.colorbar(drawn, ax=axes, ticks=[-limit, 0, limit], shrink=0.9, pad=0.02)
    bar.ax.set_yticklabels([DARKER, "no change", LIGHTER], fontsize=SMALL)
    bar.outline.set_visible(False)


def film_strip(film: Film, side: float = 1.2) -> Figure:
    """Frames side by side over the curves of the classifier's probabilities.

    Args:
        film: from `hx.explain.film_of`, `film_between` or `interpolate_classes`.
        side: of each frame, in inches.
    """
    figure = Figure(figsize=(max(side * len(film), NARROWEST), side + 1.9), layout="constrained")
    top, below = figure.subfigures(2, 1, height_ratios=[side + 0.25, 1.65])
    for axes, frame, alpha in zip(top.subplots(1, len(film), squeeze=False)[0], film.frames, film.alphas):
        _picture(axes, frame, f"{float(alpha):.0%}")
    axes = below.subplots()
    for k, (name, colour) in enumerate(class_colours(film.class_names).items()):
        axes.plot(film.alphas, film.probabilities[:, k].cpu(), marker="o", markersize=3, color=colour, label=name)
    half = 0.5 / max(len(film) - 1, 1)
    axes.set(xlim=(-half, 1 + half), ylim=(-0.03, 1.03), xticks=[], yticks=[0, 0.5, 1])
    axes.set_ylabel("probability", fontsize=SMALL)
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=SMALL, frameon=False, ncols=len(film.class_names), loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def probability_bars(explanation: Explanation, side: float = 1.6) -> Figure:
    """The classifier's probabilities before, and after each counterfactual, as bars.

    Args:
        explanation: the record.
        side: height in inches for each class and panel width.
    """
    e = explanation
    panels = [("before", e.probabilities_before), *((f"after {i + 1}", p) for i, p in enumerate(e.probabilities_after))]
    figure = Figure(figsize=(side * len(panels) + 1.2, 0.3 * len(e.class_names) + 0.6), layout="constrained")
    colours = list(class_colours(e.class_names).values())
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for part, (name, p) in zip(axes, panels):
        bars = part.barh(e.class_names, p.cpu().numpy(), color=colours)
        part.bar_label(bars, [f"{value:.0%}" for value in p.tolist()], fontsize=SMALL, padding=2)
        part.set(xlim=(0, 1.3), xticks=[])
        part.set_title(name, fontsize=SMALL)
        part.tick_params(labelsize=SMALL, length=0)
        part.spines[:].set_visible(False)
    axes[0].invert_yaxis()
    return figure


def sample_grid(images: Tensor, captions: Sequence[str] | None = None, columns: int = 8, side: float = 1.1) -> Figure:
    """Images in rows.

    Args:
        images: `(N, C, H, W)` in `[-1, 1]`.
        captions: one an image.
        columns: images a row.
        side: of each image, in inches.

    Raises:
        InputError: if there is not one caption an image.
    """
    check_images("images", images)
    names = list(captions) if captions is not None else [""] * len(images)
    check(len(names) == len(images), "captions", f"name {len(images)} images", len(names))
    columns = max(1, min(columns, len(images)))
    rows = -(-len(images) // columns)
    height = side + (0.22 if captions is not None else 0.0)
    figure = Figure(figsize=(side * columns, height * max(rows, 1)), layout="constrained")
    for i, axes in enumerate(figure.subplots(max(rows, 1), columns, squeeze=False).flat):
        if i < len(images):
            _picture(axes, images[i], names[i])
        axes.set_visible(i < len(images))
    return figure
