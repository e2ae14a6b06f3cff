"""Sliders and a clickable map over an `ExploreSession`."""

from __future__ import annotations

from io import BytesIO
from time import perf_counter
from typing import Any

import ipywidgets as ipw
from PIL import Image

from histoxplain.viz.latent_map import latent_map_figure
from histoxplain.widgets.explore_session import ExploreSession, Place
from histoxplain.widgets.latest import Latest
from histoxplain.widgets.map_view import map_view
from histoxplain.widgets.picture import beside, jpeg, picture, png
from histoxplain.widgets.readout import Message, bars_html

_WIDE = {"style": {"description_width": "150px"}, "layout": {"width": "98%"}}


class Explorer:
    """Click a point of the map or move a slider, and see the tissue and what the classifier makes of it.

    Args:
        session: computes what is seen.
        side: size of the picture and of the map, in pixels.
    """

    def __init__(self, session: ExploreSession, side: int = 420) -> None:
        self.session, self.side, self.point = session, side, 0
        self.image, self.bars = ipw.Image(format="jpeg", width=side, height=side), ipw.HTML()
        self.caption, self.message = ipw.HTML(), Message()
        self.map = map_view(session.latents, self.choose, side)
        self._make_controls()
        self._draw = Latest(self._show, self.message.report)
        self._deaf = False
        for control in self._sliders():
            control.observe(self._moved, "value")
        self.choose(0)

    def _make_controls(self) -> None:
        names = self.session.class_names
        percent = {"min": 0, "max": 1, "step": 0.02, "readout_format": ".0%", **_WIDE}
        self.mix = [ipw.FloatSlider(description=name, **percent) for name in names]
        self.truncation = ipw.FloatSlider(description="variety (psi)", min=0, max=1.3, step=0.02, **_WIDE)
        around = {"min": -4, "max": 4, "step": 0.1, "readout_format": "+.1f", **_WIDE}
        self.steps = [ipw.FloatSlider(description=name, **around) for name in self.session.directions]
        choices = [("class asked for", "class"), *((f"probability of {name}", name) for name in names)]
        self.colour = ipw.Dropdown(options=choices, description="colour by", layout={"width": "320px"})
        self.colour.observe(lambda change: self.map.colour_by(change["new"]), "value")
        self.back = ipw.Button(description="back to the point", icon="undo", tooltip="Undo all sliders")
        self.back.on_click(lambda _: self.choose(self.point))

    def _sliders(self) -> list[ipw.FloatSlider]:
        return [*self.mix, self.truncation, *self.steps]

    @property
    def place(self) -> Place:
        """Where the sliders stand."""
        mix, steps = ([slider.value for slider in group] for group in (self.mix, self.steps))
        return Place(self.point, tuple(mix), self.truncation.value, tuple(steps))

    def choose(self, point: int) -> None:
        """Go to a point of the map: the sliders jump to where they give its image."""
        place = self.session.place(point)
        self.point, self._deaf = point, True
        for slider, value in zip(self._sliders(), [*place.mix, place.truncation, *place.steps]):
            slider.value = value
        self._deaf = False
        self._draw.now()

    def _moved(self, change: dict[str, Any]) -> None:
        if not self._deaf:
            self._draw(change)

    def _show(self) -> None:
        start = perf_counter()
        sight = self.session.at(self.place)
        self.image.value = jpeg(picture(sight.image, self.side))
        self.bars.value = bars_html(sight.probabilities, self.session.class_names, self.side)
        self.map.mark(self.session.latents.locate(sight.w))
        milliseconds = 1000 * (perf_counter() - start)
        self.caption.value = f"point {self.point} <span style='color:#888'>(drawn in {milliseconds:.0f} ms)</span>"

    @property
    def widget(self) -> ipw.Widget:
        """Everything, laid out: map and picture above, sliders below."""
        left = ipw.VBox([self.colour, self.map.widget])
        right = ipw.VBox([self.caption, self.image, self.bars])
        columns = [ipw.VBox([_title("Class mix"), *self.mix, _title("Variety"), self.truncation, self.back])]
        if self.steps:
            columns.append(ipw.VBox([_title("Found directions"), *self.steps]))
        for column in columns:
            column.layout.width = f"{self.side}px"
        gap = ipw.Layout(grid_gap="16px", flex_flow="row wrap")
        return ipw.VBox([ipw.HBox([left, right], layout=gap), ipw.HBox(columns, layout=gap), self.message])

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget where it can live, and a picture of it where it cannot (a notebook read on a web page)."""
        sight, latents = self.session.at(self.place), self.session.latents
        figure = latent_map_figure(latents, [self.colour.value], latents.locate(sight.w), side=self.side / 100)
        best = int(sight.probabilities.argmax())
        opinion = f"the cross: {self.session.class_names[best]} {float(sight.probabilities[best]):.0%}"
        still = {"map": Image.open(BytesIO(png(figure))), opinion: picture(sight.image, self.side)}
        bundle = self.widget._repr_mimebundle_(**kwargs) | {"text/plain": repr(self)}
        return {**bundle, "image/jpeg": beside(still)}

    def __repr__(self) -> str:
        return f"Explorer({len(self.session.latents)} points, {len(self.steps)} directions, at point {self.point})"


def _title(text: str) -> ipw.HTML:
    return ipw.HTML(f"<b>{text}</b>")
