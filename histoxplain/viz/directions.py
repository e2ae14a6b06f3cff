"""What directions of latent space do: one film strip under the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from histoxplain._checks import check
from histoxplain.viz.figures import SMALL, _picture
from histoxplain.viz.latent_map import class_colours

if TYPE_CHECKING:
    from histoxplain.explain import Film


def direction_strips(films: Mapping[str, Film], side: float = 1.4) -> Figure:
    """One row a direction, one column a step; under each image the classifier's opinion, in the colour of the class.

    Args:
        films: direction -> film whose `alphas` are the steps; all with the same steps.
        side: of each image, in inches.

    Raises:
        InputError: if there is no film, or they differ in length.
    """
    lengths = {len(film) for film in films.values()}
    check(len(lengths) == 1, "films", "be films of the same length, at least one", sorted(lengths) or "none")
    figure = Figure(figsize=(side * lengths.pop() + 1.1, (side + 0.28) * len(films) + 0.2), layout="constrained")
    rows = figure.subplots(len(films), len(next(iter(films.values()))), squeeze=False)
    for first, (row, (name, film)) in enumerate(zip(rows, films.items())):
        colours = list(class_colours(film.class_names).values())
        for axes, image, step, p in zip(row, film.frames, film.alphas, film.probabilities):
            best = int(p.argmax())
            title = "" if first else f"{float(step):+g}" if step else "start"
            _picture(axes, image, title, f"{film.class_names[best]} {float(p[best]):.0%}")
            axes.xaxis.label.set_color(colours[best])
        row[0].set_ylabel(name.replace("towards ", "towards\n"), fontsize=SMALL, rotation=0, ha="right", va="center")
    return figure
