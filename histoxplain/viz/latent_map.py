"""Pictures of the latent map: where the classes lie, and what the classifier thinks where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from histoxplain._checks import check_one_of
from histoxplain.explain.latent_map import clusters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from torch import Tensor

    from histoxplain.explain.latent_map import LatentMap

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
"""Class colours that colour-blind readers tell apart (Okabe and Ito, 2008); repeated for more than eight classes."""


def class_colours(class_names: Sequence[str]) -> dict[str, str]:
    """One colour a class, in order.

    Example:
        >>> class_colours(["benign", "squamous"])
        {'benign': '#0072B2', 'squamous': '#E69F00'}
    """
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(class_names)}


def latent_map_figure(
    latents: LatentMap,
    colour_by: Sequence[str] = ("class",),
    marker: tuple[float, float] | None = None,
    side: float = 4.6,
) -> Figure:
    """Draw the map once for each entry of `colour_by`.

    Args:
        latents: what `hx.explain.map_latents` returned.
        colour_by: "class" (the class asked for), "cluster" (groups of neighbours in latent space, see
            `hx.explain.clusters`) or class names (the classifier's probability of that class).
        marker: a place to mark with a cross, in map coordinates.
        side: size of each panel, in inches.

    Raises:
        InputError: if an entry of `colour_by` is neither "class" nor "cluster" nor a class name.
    """
    for name in colour_by:
        check_one_of("colour_by", name, ["class", "cluster", *latents.class_names])
    figure = Figure(figsize=(side * len(colour_by) + 0.3, side), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(colour_by), squeeze=False)[0], colour_by):
        if name in latents.class_names:
            _probability(axes, latents, name)
        else:
            _groups(axes, latents, *groups_of(latents, name))
            axes.set_title("class asked for" if name == "class" else "cluster", fontsize=11)
        if marker is not None:
            axes.plot(*marker, marker="+", markersize=22, markeredgewidth=2.5, color="black")
        axes.set(xticks=[], yticks=[], aspect="equal", xlim=(-1.08, 1.08), ylim=(-1.08, 1.08))
        axes.spines[:].set_color("0.8")
    return figure


def groups_of(latents: LatentMap, kind: str) -> tuple[list[str], Tensor]:
    """Names of the groups, and the group of each point, (N,).

    Args:
        latents: the map.
        kind: "class", or "cluster", whose names say what the classifier mostly sees there.
    """
    if kind == "class":
        return list(latents.class_names), latents.labels
    group, said = clusters(latents), latents.logits.argmax(1)
    mostly = [int(said[group == k].mode().values) for k in range(int(group.max()) + 1)]
    return [f"{k + 1}: mostly {latents.class_names[label]}" for k, label in enumerate(mostly)], group


def _groups(axes: Axes, latents: LatentMap, names: Sequence[str], group: Tensor) -> None:
    for i, (name, colour) in enumerate(class_colours(names).items()):
        x, y = latents.points[(group == i).numpy()].T
        axes.scatter(x, y, s=16, color=colour, label=name, linewidths=0, alpha=0.85)
    axes.legend(fontsize=9, framealpha=0.9, markerscale=1.6, loc="best", handletextpad=0.2)


def _probability(axes: Axes, latents: LatentMap, name: str) -> None:
    chance = latents.probabilities[:, latents.class_names.index(name)].numpy()
    dots = axes.scatter(*latents.points.T, c=chance, s=16, cmap="viridis", vmin=0, vmax=1, linewidths=0)
    axes.set_title(f"probability of {name}", fontsize=11)
    axes.figure.colorbar(dots, ax=axes, shrink=0.75, aspect=25, pad=0.01)
