"""The latent map on the screen: a scatter to click with jupyter-scatter, or a picture and a slider without it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Protocol

import ipywidgets as ipw
import numpy as np

from histoxplain.explain.latent_map import LatentMap
from histoxplain.viz.latent_map import class_colours, groups_of, latent_map_figure
from histoxplain.widgets.picture import png

OnClick = Callable[[int], None]
OnLasso = Callable[[list[int]], None]
PAPER = {False: "#ffffff", True: "#1e1e1e"}
"""What lies behind the points, on light and on dark pages."""


@contextmanager
def _quietly() -> Iterator[None]:
    """jupyter-scatter uses what newer versions of pandas discourage; that is not the reader's concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class MapView(Protocol):
    """What both kinds of map can do."""

    widget: ipw.Widget

    def colour_by(self, name: str) -> None:
        """Colour the points by "class", by "cluster" or by the probability of a class."""

    def mark(self, place: tuple[float, float]) -> None:
        """Show where the present image lies."""

    def darken(self, dark: bool) -> None:
        """Suit a dark page, or a light one."""


def map_view(latents: LatentMap, on_click: OnClick, side: int = 420, on_lasso: OnLasso | None = None) -> MapView:
    """A map that calls `on_click(index)` when a point is chosen; `side` is its size in pixels.

    Where points can be lassoed, `on_lasso` gets their numbers.
    """
    return (ClickableMap if find_spec("jscatter") else PictureMap)(latents, on_click, side, on_lasso)


class ClickableMap:
    """The map as a jupyter-scatter: click a point, lasso several, zoom with the wheel; a cross marks the image."""

    def __init__(self, latents: LatentMap, on_click: OnClick, side: int = 420, on_lasso: OnLasso | None = None) -> None:
        self._latents, self._on_click, self._on_lasso = latents, on_click, on_lasso
        self._dark, self._place = False, tuple(latents.points[0])
        self._table = _table(latents)
        self._scatter = _scatter(self._table, side)
        self.colour_by("class")
        self.mark(self._place)
        self._scatter.widget.observe(self._clicked, "selection")
        self.widget = self._scatter.show(buttons=["pan_zoom", "lasso", "full_screen", "reset"])

    @_quietly()
    def colour_by(self, name: str) -> None:
        """See `MapView`."""
        if name in self._latents.class_names:
            self._scatter.color(by=f"probability of {name}", map="viridis", norm=(0, 1))
        else:
            names = list(self._table[name].cat.categories)
            self._scatter.color(by=name, map=class_colours(names), norm=None)

    @_quietly()
    def mark(self, place: tuple[float, float]) -> None:
        """See `MapView`."""
        from jscatter import HLine, VLine

        self._place = place
        x, y = map(float, place)
        ink = "#ffffff88" if self._dark else "#00000066"
        self._scatter.annotations([HLine(y, line_color=ink), VLine(x, line_color=ink)])

    @_quietly()
    def darken(self, dark: bool) -> None:
        """See `MapView`."""
        self._dark = dark
        self._scatter.background(PAPER[dark]).axes(True)  # a new background brings axes, which have to be sent away
        self._scatter.axes(False)
        self.mark(self._place)

    def _clicked(self, change: dict[str, Any]) -> None:
        chosen = [] if change["new"] is None else [int(i) for i in change["new"]]
        if len(chosen) > 1 and self._on_lasso is not None:
            self._on_lasso(chosen)
        elif chosen:
            self._on_click(chosen[0])


def _table(latents: LatentMap) -> Any:
    """One row a point: place, class and probabilities."""
    import pandas as pd

    columns = {"x": latents.points[:, 0], "y": latents.points[:, 1]}
    for kind in ("class", "cluster"):
        names, group = groups_of(latents, kind)
        columns[kind] = pd.Categorical(np.array(names)[group.numpy()], names)
    for i, name in enumerate(latents.class_names):
        columns[f"probability of {name}"] = latents.probabilities[:, i].numpy()
    return pd.DataFrame(columns)


@_quietly()
def _scatter(table: Any, side: int) -> Any:
    import jscatter

    scatter = jscatter.Scatter(data=table, x="x", y="y", x_scale=(-1.1, 1.1), y_scale=(-1.1, 1.1))
    scatter.size(default=7).opacity(unselected=1.0).axes(False).legend(True)
    return scatter.height(side).width(side).background(PAPER[False])


class PictureMap:
    """The map as a matplotlib picture, with a slider that walks through the points."""

    def __init__(self, latents: LatentMap, on_click: OnClick, side: int = 420, on_lasso: OnLasso | None = None) -> None:
        self._latents, self._name, self._place = latents, "class", tuple(latents.points[0])
        self._side = side
        self.image = ipw.Image(format="png", width=side)
        self.slider = ipw.IntSlider(0, 0, len(latents) - 1, description="point")
        self.slider.observe(lambda change: on_click(change["new"]), "value")
        self.widget = ipw.VBox([self.image, self.slider])
        self._draw()

    def colour_by(self, name: str) -> None:
        """See `MapView`."""
        self._name = name
        self._draw()

    def mark(self, place: tuple[float, float]) -> None:
        """See `MapView`."""
        self._place = place
        self._draw()

    def darken(self, dark: bool) -> None:
        """See `MapView`; a picture stays as it is, on white."""

    def _draw(self) -> None:
        figure = latent_map_figure(self._latents, [self._name], marker=self._place, side=self._side / 100)
        self.image.value = png(figure)
