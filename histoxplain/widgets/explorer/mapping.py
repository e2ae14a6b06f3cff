"""The map of latents: click a point to go there, lasso several to see them side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw

from histoxplain.widgets.explorer.stage import Strip
from histoxplain.widgets.map_view import map_view

if TYPE_CHECKING:
    from histoxplain.explain import LatentMap

SHOWN = 8
"""Of lassoed points, so many are drawn."""


class Mapping:
    """The map, what its colours mean, and what was lassoed.

    Args:
        latents: the map.
        on_click: gets the number of a chosen point.
        on_lasso: gets the numbers of several.
        side: of the map, in pixels.
    """

    def __init__(
        self,
        latents: LatentMap,
        on_click: Callable[[int], None],
        on_lasso: Callable[[list[int]], None],
        side: int = 340,
    ) -> None:
        names = latents.class_names
        self.latents, self.points = latents, []
        self.view = map_view(latents, on_click, side, on_lasso)
        choices = [("class asked for", "class"), ("cluster", "cluster")]
        choices += [(f"probability of {name}", name) for name in names]
        self.colour = ipw.Dropdown(options=choices, description="colour by", layout={"width": "300px"})
        self.colour.observe(lambda change: self.view.colour_by(change["new"]), "value")
        self.found, self.strip = ipw.HTML(), Strip(label="lassoed points")
        self.strip.observe(self._chosen, "chosen")
        self._on_click = on_click
        hint = "<div class='hx-note'>Click a point to see its tissue; lasso several. Neighbours look alike.</div>"
        box = ipw.Box([self.view.widget])
        box.add_class("hx-map")
        self.widget = ipw.VBox([self.colour, box, ipw.HTML(hint), self.found, self.strip])

    def show_lassoed(self, points: Sequence[int], pictures: list[bytes]) -> None:
        """What several points have in common."""
        self.points = list(points)
        p, names = self.latents.probabilities[self.points].mean(0), self.latents.class_names
        order = p.argsort(descending=True).tolist()
        mean = ", ".join(f"{names[k]} {float(p[k]):.0%}" for k in order)
        more = f"; the first {len(pictures)}:" if len(pictures) < len(self.points) else ":"
        self.found.value = f"<b>{len(self.points)} points</b>, on average {mean}{more}"
        said = [self.latents.probabilities[i] for i in self.points[: len(pictures)]]
        self.strip.chosen = -1
        self.strip.captions = [f"{names[int(p.argmax())]} {float(p.max()):.0%}" for p in said]
        self.strip.pictures = pictures

    def _chosen(self, change: dict[str, Any]) -> None:
        if 0 <= change["new"] < len(self.points):
            self._on_click(self.points[change["new"]])
