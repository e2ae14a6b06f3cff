"""What directions of latent space do: one film strip under the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from histoxplain._checks import check
from histoxplain.viz.figures import SMALL, _picture
from histoxplain.viz.latent_map import class_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from histoxplain.explain import Film

GAP = 0.15
"""Between the films of a row, in widths of an image."""


def direction_strips(
    films: Mapping[str, Film | Sequence[Film]], side: float = 1.4, shares: Mapping[str, float] | None = None
) -> Figure:
    """One row a direction, one column a step; under each image the classifier's opinion, in the colour of the class.

    Args:
        films: direction -> film whose `alphas` are the steps, or several films, of one image each, side by side; all
            with the same steps. `hx.explain.films_along` makes them.
        side: of each image, in inches.
        shares: direction -> share of images that it turns into the target, said beside the row.

    Raises:
        InputError: if there is no film, or they differ in length or number.
    """
    rows = {name: [found] if hasattr(found, "frames") else list(found) for name, found in films.items()}
    lengths = {tuple(len(film) for film in row) for row in rows.values()}
    ok = len(lengths) == 1 and len(set(*lengths)) == 1
    check(ok, "films", "be films of the same length, at least one", sorted(lengths) or "none")
    (length, *more) = lengths.pop()
    columns = length * (1 + len(more)) + len(more)
    widths = ([1] * length + [GAP]) * (1 + len(more))
    wide = side * (length * (1 + len(more)) + GAP * len(more))
    figure = Figure(figsize=(wide + 1.1, (side + 0.28) * len(rows) + 0.2), layout="constrained")
    grid = figure.add_gridspec(len(rows), columns, width_ratios=widths[:columns])
    for number, (name, row) in enumerate(rows.items()):
        for place, film in enumerate(row):
            axes = [figure.add_subplot(grid[number, place * (length + 1) + i]) for i in range(length)]
            _film(axes, film, titles=number == 0)
            if place == 0:
                label = name.replace("towards ", "towards\n")
                if shares is not None:
                    label += f"\nexplains {shares[name]:.0%}"
                axes[0].set_ylabel(label, fontsize=SMALL, rotation=0, ha="right", va="center")
    return figure


def _film(row: Sequence[Axes], film: Film, titles: bool) -> None:
    colours = list(class_colours(film.class_names).values())
    for axes, image, step, p in zip(row, film.frames, film.alphas, film.probabilities):
        best = int(p.argmax())
        title = (f"{float(step):+g}" if step else "start") if titles else ""
        _picture(axes, image, title, f"{film.class_names[best]} {float(p[best]):.0%}")
        axes.xaxis.label.set_color(colours[best])
