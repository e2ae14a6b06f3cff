"""How the score falls and rises along the order in which maps name the pixels, as curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from histoxplain._checks import check
from histoxplain.viz.figures import SMALL
from histoxplain.viz.latent_map import class_colours

if TYPE_CHECKING:
    from histoxplain.metrics import Faithfulness


def faithfulness_figure(measured: Sequence[Faithfulness], names: Sequence[str], side: float = 3.2) -> Figure:
    """Deletion and insertion of several maps beside a random order of the pixels (dashed); areas in the legend.

    Args:
        measured: from `hx.metrics.faithfulness`, of the same image.
        names: of the methods, one for each.
        side: height of the curves, in inches.

    Raises:
        InputError: if there is nothing to show, or not one name for each.
    """
    check(len(measured) > 0, "measured", "hold at least one", "none")
    check(len(names) == len(measured), "names", f"name {len(measured)} maps", len(names))
    figure = Figure(figsize=(2 * side + 3.4, side), layout="constrained")
    titles = {"deletion": "hidden, most important first (low is good)", "insertion": "shown first (high is good)"}
    for axes, (kind, title) in zip(figure.subplots(1, 2, sharey=True), titles.items()):
        for (name, colour), one in zip(class_colours(names).items(), measured):
            curve = getattr(one, kind)
            axes.plot(curve.shares, curve.scores, color=colour, label=f"{name} {curve.area:.2f}")
        chance = getattr(measured[0], f"random_{kind}")
        axes.plot(chance.shares, chance.scores, "--", color="0.4", label=f"random {chance.area:.2f}")
        axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        axes.set_xticklabels(["0", "half", "all pixels"])
        axes.set_title(title, fontsize=SMALL + 1)
        axes.tick_params(labelsize=SMALL)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=SMALL - 1, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.axes[0].set_ylabel("probability", fontsize=SMALL)
    return figure
