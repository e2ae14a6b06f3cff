"""The latent map on the screen: a scatter to click with jupyter-scatter, or a picture and a slider without it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Protocol

import ipywidgets as ipw

from histoxplain.explain.latent_map import LatentMap
from histoxplain.viz.latent_map import class_colours, latent_map_figure
from histoxplain.widgets.picture import png

OnClick = Callable[[int], None]


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
        """Colour the points by "class" or by the probability of a class."""

    def mark(self, place: tuple[float, float]) -> None:
        """Show where the present image lies."""


def map_view(latents: LatentMap, on_click: OnClick, side: int = 420) -> MapView:
    """A map that calls `on_click(index)` when a point is chosen; `side` is its size in pixels."""
    return (ClickableMap if find_spec("jscatter") else PictureMap)(latents, on_click, side)


class ClickableMap:
    """The map as a jupyter-scatter: click a point, zoom with the wheel; a thin cross marks the present image."""

    def __init__(self, latents: LatentMap, on_click: OnClick, side: int = 420) -> None:
        self._latents, self._on_click = latents, on_click
        self._scatter = _scatter(latents, side)
        self.colour_by("class")
        self.mark(tuple(latents.points[0]))
        self._scatter.widget.observe(self._clicked, "selection")
        self.widget = self._scatter.show(buttons=["pan_zoom", "full_screen", "reset"])

    @_quietly()
    def colour_by(self, name: str) -> None:
        """See `MapView`."""
        if name == "class":
            self._scatter.color(by="class", map=class_colours(self._latents.class_names), norm=None)
        else:
            self._scatter.color(by=f"probability of {name}", map="viridis", norm=(0, 1))

    @_quietly()
    def mark(self, place: tuple[float, float]) -> None:
        """See `MapView`."""
        from jscatter import HLine, VLine

        x, y = map(float, place)
        self._scatter.annotations([HLine(y, line_color="#00000066"), VLine(x, line_color="#00000066")])

    def _clicked(self, change: dict[str, Any]) -> None:
        if change["new"] is not None and len(change["new"]):
            self._on_click(int(change["new"][0]))


@_quietly()
def _scatter(latents: LatentMap, side: int) -> Any:
    import jscatter
    import pandas as pd

    points = {"x": latents.points[:, 0], "y": latents.points[:, 1]}
    names = pd.Categorical.from_codes(latents.labels.numpy(), list(latents.class_names))
    chances = {
        f"probability of {name}": latents.probabilities[:, i].numpy() for i, name in enumerate(latents.class_names)
    }
    scatter = jscatter.Scatter(
        data=pd.DataFrame({**points, "class": names, **chances}), x="x", y="y", x_scale=(-1.1, 1.1), y_scale=(-1.1, 1.1)
    )
    scatter.size(default=7).opacity(unselected=1.0).axes(False).legend(True)
    return scatter.height(side).width(side).background("white")


class PictureMap:
    """The map as a matplotlib picture, with a slider that walks through the points."""

    def __init__(self, latents: LatentMap, on_click: OnClick, side: int = 420) -> None:
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

    def _draw(self) -> None:
        figure = latent_map_figure(self._latents, [self._name], marker=self._place, side=self._side / 100)
        self.image.value = png(figure)
