"""Sliders for a place: mix of classes, variety, directions, and single style channels where one asks for them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw

from histoxplain.widgets.place import Place

if TYPE_CHECKING:
    from histoxplain.widgets.explore_session import ExploreSession

_WIDE = {"style": {"description_width": "150px"}, "layout": {"width": "98%"}}
_AROUND = {"min": -4, "max": 4, "step": 0.1, "readout_format": "+.1f", **_WIDE}


class Sliders:
    """Shows a place, and tells when a slider is moved.

    Args:
        session: whose classes, directions and channels there are.
        on_move: gets the new place, and which slider it was.
        on_suggest: is called when telling channels are asked for; see `add`.
    """

    def __init__(
        self,
        session: ExploreSession,
        on_move: Callable[[Place, Hashable], None],
        on_suggest: Callable[[], None],
    ) -> None:
        self.session, self.on_move = session, on_move
        percent = {"min": 0, "max": 1, "step": 0.02, "readout_format": ".0%", **_WIDE}
        self.mix = [ipw.FloatSlider(description=name, **percent) for name in session.class_names]
        self.truncation = ipw.FloatSlider(description="variety (psi)", min=0, max=1.3, step=0.02, **_WIDE)
        self.steps = [ipw.FloatSlider(description=name, **_AROUND) for name in session.directions]
        self.channels: dict[tuple[str, int], ipw.FloatSlider] = {}
        self._place, self._deaf = session.place(0), False
        for slider in [*self.mix, self.truncation, *self.steps]:
            slider.observe(self._moved, "value")
        self.layer = ipw.Dropdown(options=list(session.deviations), layout={"width": "120px"})
        self.channel = ipw.BoundedIntText(0, min=0, max=0, layout={"width": "80px"})
        self.layer.observe(self._widths, "value")
        self._widths()
        self.one = ipw.Button(description="Add", tooltip="a slider for this style channel", layout={"width": "60px"})
        self.one.on_click(lambda _: self.add(self.layer.value, self.channel.value))
        self.suggest = ipw.Button(description="Suggest three", tooltip="those that lead to the class asked for most")
        self.suggest.on_click(lambda _: on_suggest())
        self._rows = ipw.VBox()
        self.widget = self._laid_out()

    def show(self, place: Place) -> None:
        """Put all sliders where a place has them."""
        self._place, self._deaf = place, True
        for slider, value in zip(self.mix, place.mix):
            slider.value = value
        for slider, value in zip(self.steps, place.steps):
            slider.value = value
        self.truncation.value = place.truncation
        for slider in (*self.mix, self.truncation):
            slider.disabled = place.image is not None
        moved = {(layer, channel): by for layer, channel, by in place.channels}
        for key in moved:
            self._slider(key)
        for key, slider in self.channels.items():
            slider.value = moved.get(key, 0.0)
        self._deaf = False

    @property
    def place(self) -> Place:
        """Where the sliders stand."""
        mix, steps = (tuple(slider.value for slider in group) for group in (self.mix, self.steps))
        channels = tuple((*key, slider.value) for key, slider in self.channels.items() if slider.value)
        return replace(self._place, mix=mix, truncation=self.truncation.value, steps=steps, channels=channels)

    def add(self, layer: str, channel: int) -> ipw.FloatSlider:
        """A slider for a single style channel, in its standard deviations.

        Raises:
            InputError: if there is no such layer or channel.
        """
        self.session.deviation(layer, channel)
        return self._slider((layer, int(channel)))

    def _slider(self, key: tuple[str, int]) -> ipw.FloatSlider:
        if key not in self.channels:
            self.channels[key] = ipw.FloatSlider(description=f"{key[0]} {key[1]}", **_AROUND)
            self.channels[key].observe(self._moved, "value")
            self._rows.children = tuple(self.channels.values())
        return self.channels[key]

    def _moved(self, change: dict[str, Any]) -> None:
        if not self._deaf:
            self._place = self.place
            self.on_move(self._place, change["owner"].description)

    def _widths(self, _change: Any = None) -> None:
        self.channel.max = len(self.session.deviations[self.layer.value]) - 1

    def _laid_out(self) -> ipw.Widget:
        row = ipw.Layout(flex_flow="row wrap", grid_gap="4px", align_items="center")
        pick = ipw.HBox([self.layer, self.channel, self.one, self.suggest], layout=row)
        parts = [_title("Directions, in standard deviations"), *self.steps]
        if self.session.bundle.generator.c_dim:
            parts += [_title("Mix of classes"), *self.mix]
        parts += [_title("Variety: 0 is the average image"), self.truncation]
        parts += [_title("Single style channels, in standard deviations"), pick, self._rows]
        return ipw.VBox(parts)


def _title(text: str) -> ipw.HTML:
    return ipw.HTML(f"<b>{text}</b>")
