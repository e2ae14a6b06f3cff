"""Concepts as sheets: the images that show each concept, and one image with its concepts turned down and up."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure
from torch import Tensor

from histoxplain._checks import check
from histoxplain.explain.attribution.colours import overlay
from histoxplain.viz.figures import SMALL, _bare, _picture
from histoxplain.viz.latent_map import class_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpec, SubplotSpec

    from histoxplain.explain.concept_gallery import ConceptExample, ConceptShown

LABEL = 1.5
"""Inches that the words beside a row take."""
GAP = 0.12
"""Between the images of a row, in widths of one."""
LETTERS = 18
"""Of a concept's name in one line."""


def concept_sheet(gallery: Sequence[ConceptShown], side: float = 1.3) -> Figure:
    """A global sheet: one row a concept, with the images that have most of it and what more of it makes of them.

    Beside each row stand the concept's name, the class and Theta's weight for it. Of each image are shown: the image as
    it is; where the concept is (yellow is most, of all images of the row); and the image drawn with the concept
    multiplied by each factor. Under each stands the classifier's opinion of it.

    Args:
        gallery: from `hx.explain.concept_gallery`.
        side: of each picture, in inches.

    Raises:
        InputError: if there is nothing to show.
    """
    check(bool(gallery), "gallery", "hold at least one concept", "none")
    most = max(len(row.examples) for row in gallery)
    factors = len(gallery[0].examples[0].film)
    widths = ([1.0] * (2 + factors) + [GAP]) * most
    figure, grid = _page(len(gallery), widths[:-1], side, side + 0.4)
    for number, row in enumerate(gallery):
        limits = (0.0, max(float(example.map.max()) for example in row.examples) or 1.0)
        for place, example in enumerate(row.examples):
            first = place * (3 + factors)
            axes = [figure.add_subplot(grid[number, 1 + first + i]) for i in range(2 + factors)]
            _original(axes[0], example)
            _where(axes[1], example, limits, number == 0)
            _frames(axes[2:], example, number == 0)
        _words(figure, grid[number, 0], row)
    return figure


def image_concepts_sheet(shown: Sequence[ConceptShown], side: float = 1.5) -> Figure:
    """A local sheet: one image, and a row for each of its concepts, where it is and what less and more of it does.

    Args:
        shown: from `hx.explain.concepts_of_image`.
        side: of each picture, in inches.

    Raises:
        InputError: if there is nothing to show.
    """
    check(bool(shown), "shown", "hold at least one concept", "none")
    factors = len(shown[0].examples[0].film)
    figure, grid = _page(len(shown), [1.0] * (2 + factors), side, side + 0.24)
    for number, row in enumerate(shown):
        (example,) = row.examples
        axes = [figure.add_subplot(grid[number, 1 + i]) for i in range(2 + factors)]
        if number == 0:
            _original(axes[0], example)
        else:
            axes[0].set_visible(False)
        _where(axes[1], example, (0.0, float(example.map.max()) or 1.0), number == 0)
        _frames(axes[2:], example, number == 0)
        _words(figure, grid[number, 0], row)
    return figure


def _page(rows: int, widths: Sequence[float], side: float, height: float) -> tuple[Figure, GridSpec]:
    size = (LABEL + side * sum(widths), height * rows + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    return figure, figure.add_gridspec(rows, 1 + len(widths), width_ratios=[LABEL / side, *widths])


def _original(axes: Axes, example: ConceptExample) -> None:
    _picture(axes, example.image, _short(example.name))
    _opinion(axes, example.opinion, example.film.class_names)


def _where(axes: Axes, example: ConceptExample, limits: tuple[float, float], titled: bool) -> None:
    axes.imshow(overlay(example.image, example.map, limits, signed=False), interpolation="nearest")
    axes.set_title("where" if titled else "", fontsize=SMALL)
    axes.set_xlabel(f"{example.activation:.2g} of it", fontsize=SMALL)
    _bare(axes)


def _frames(row: Sequence[Axes], example: ConceptExample, titled: bool) -> None:
    film = example.film
    for axes, frame, factor, p in zip(row, film.frames, film.alphas.tolist(), film.probabilities):
        _picture(axes, frame, factor_words(factor) if titled else "")
        _opinion(axes, p, film.class_names)


def _opinion(axes: Axes, p: Tensor, class_names: Sequence[str]) -> None:
    best = int(torch.as_tensor(p).argmax())
    axes.set_xlabel(f"{_cut(class_names[best])} {float(p[best]):.0%}", fontsize=SMALL - 1)
    axes.xaxis.label.set_color(list(class_colours(class_names).values())[best])


def _words(figure: Figure, place: SubplotSpec, row: ConceptShown) -> None:
    axes, one = figure.add_subplot(place), row.concept
    axes.set_axis_off()
    target = fill(row.target, LETTERS, break_long_words=True)
    text = f"{target}\nweight {one.weight:+.2f}\nimportance {one.importance:+.2f}"
    name = fill(one.name, LETTERS, break_long_words=True)
    lines = name.count("\n")
    axes.text(0, 0.72, name, fontsize=SMALL + 1, fontweight="bold", va="bottom", transform=axes.transAxes)
    axes.text(0, 0.68, text, fontsize=SMALL, va="top", transform=axes.transAxes, linespacing=1.25)
    axes.set_ylim(0, 1 + lines)


def factor_words(factor: float) -> str:
    """What multiplying a concept means, in words.

    Example:
        >>> factor_words(0.0), factor_words(1.0), factor_words(2.5)
        ('without', 'redrawn', 'x 2.5')
    """
    return {0.0: "without", 1.0: "redrawn"}.get(factor, f"x {factor:g}")


def _cut(text: str, letters: int = 15) -> str:
    """The beginning of a class's name."""
    return text if len(text) <= letters else f"{text[: letters - 1]}."


def _short(text: str, letters: int = 16) -> str:
    """The end of a file's name."""
    name = text.rsplit("/", 1)[-1]
    return name if len(name) <= letters else f"...{name[-letters + 3 :]}"
