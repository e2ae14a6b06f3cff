"""Attributions as figures: the image, and what each method says about it, side by side over labelled colour bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from histoxplain._checks import check
from histoxplain.explain.attribution.colours import bar_table
from histoxplain.explain.attribution.methods import ATTRIBUTIONS
from histoxplain.viz.figures import SMALL, _bare, _picture

LONGEST = 24
"""Letters of an image's name above its picture."""

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from histoxplain.explain import Attribution


def attribution_grid(attributions: Attribution | Sequence[Attribution], side: float = 1.9, columns: int = 5) -> Figure:
    """What speaks for a class, over the image in grey, by one or several methods; one block of rows an image.

    The first picture of every image is the image itself, with the classifier's opinion of it. Every map has a colour
    bar of its own, because methods measure different things; it says which, and at which value the colours saturate.

    Args:
        attributions: one or several, of one or several images; those of one `case_id` stand together.
        side: of each picture, in inches.
        columns: pictures a row.

    Raises:
        InputError: if there is nothing to show.
    """
    several = list(attributions) if isinstance(attributions, list | tuple) else [attributions]
    check(bool(several), "attributions", "hold at least one", "none", "call `hx.explain.attribute` first")
    groups: dict[str, list[Attribution]] = {}
    for one in several:
        groups.setdefault(one.case_id, []).append(one)
    columns = min(columns, 1 + max(map(len, groups.values())))
    rows = [[None, *some] for some in groups.values()]  # None stands for the image itself
    lines = [row[i : i + columns] for row in rows for i in range(0, len(row), columns)]
    firsts = iter(some[0] for some in groups.values())
    figure = Figure(figsize=(side * columns + 0.4, (side + 0.85) * len(lines)), layout="constrained")
    for axes, line in zip(figure.subplots(len(lines), columns, squeeze=False), lines):
        for part in axes[len(line) :]:
            part.set_visible(False)
        for part, one in zip(axes, line):
            _original(part, next(firsts)) if one is None else _map(figure, part, one)
    return figure


def _original(axes: Axes, one: Attribution) -> None:
    ranked = one.probabilities.sort(descending=True).indices.tolist()[:3]
    opinion = "\n".join(f"{one.class_names[k]} {float(one.probabilities[k]):.0%}" for k in ranked)
    name = one.case_id if len(one.case_id) <= LONGEST else f"...{one.case_id[-LONGEST:]}"
    _picture(axes, one.original if len(one.original) in (1, 3) else one.original[:1], name, opinion)


def tick_words(values: Sequence[float]) -> list[str]:
    """Numbers with as few digits as tell them apart, at least two.

    Example:
        >>> tick_words([0.98101, 0.98432]), tick_words([-0.25, 0, 0.25])
        (['0.981', '0.984'], ['-0.25', '0', '0.25'])
    """
    for digits in range(2, 9):
        words = [f"{value:.{digits}g}" for value in values]
        if len(set(words)) == len(set(values)):
            break
    return words


def _map(figure: Figure, axes: Axes, one: Attribution) -> None:
    low, high = one.limits
    axes.imshow(one.overlay(), interpolation="nearest")
    axes.set_title(f"{ATTRIBUTIONS[one.method].title}\nfor {one.target_name}", fontsize=SMALL)
    _bare(axes)
    scale = ScalarMappable(Normalize(low, high if high > low else low + 1), ListedColormap(bar_table(one.signed) / 255))
    ticks = [low, 0, high] if one.signed else [low, high if high > low else low + 1]
    bar = figure.colorbar(scale, ax=axes, orientation="horizontal", ticks=ticks, pad=0.02, aspect=18, shrink=0.95)
    words = tick_words(ticks)
    bar.ax.set_xticklabels(
        [f"against\n{words[0]}", "0", f"for\n{words[2]}"] if one.signed else words, fontsize=SMALL - 1
    )
    bar.ax.set_xlabel(one.meaning, fontsize=SMALL - 2)
    bar.ax.tick_params(length=0)
    bar.outline.set_visible(False)
