"""Leaf through a volume: a slider for the slice, its window, and masks or predictions laid over it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets as ipw

from histoxplain._checks import check_between
from histoxplain.data.volumes import WINDOWS
from histoxplain.widgets.latest import Latest
from histoxplain.widgets.picture import beside, jpeg
from histoxplain.widgets.readout import Message
from histoxplain.widgets.slice_session import AnyVolume, Look, SliceSession

_OWN = "as at first"


class SliceBrowser:
    """Axial slices of a volume, as radiologists look at them.

    Click a slider once and the arrow keys move it; Page Up and Page Down take larger steps.

    Args:
        volume: a `Volume`, the file or folder of one, or slices (Z, H, W).
        overlays: masks or predictions by name, on the same grid; from 0 (nothing) to 1.
        side: longer side of the picture, in pixels.
        opacity: of overlays at first, 0 to 1.

    Raises:
        InputError: if an overlay has another shape, or `opacity` is not between 0 and 1.
    """

    def __init__(
        self, volume: AnyVolume, overlays: Mapping[str, AnyVolume] | None = None, side: int = 448, opacity: float = 0.4
    ) -> None:
        check_between("opacity", opacity, 0, 1)
        self.session = SliceSession(volume, overlays, side)
        self._make_controls(opacity)
        width, height = self.session.size
        self.picture = ipw.Image(format="jpeg", width=width, height=height)
        self.text, self.message = ipw.HTML(), Message()
        self._draw = Latest(self._show, self.message.report)
        for control in (self.slice, self.centre, self.width, self.opacity, *self.switches.values()):
            control.observe(self._draw, "value")
        self.window.observe(self._take_window, "value")
        self.before.on_click(lambda _: self._jump(-1))
        self.after.on_click(lambda _: self._jump(1))
        self._draw.now()

    def _make_controls(self, opacity: float) -> None:
        session, wide = self.session, {"layout": {"width": "100%", "max_width": f"{self.session.side}px"}}
        presets = {_OWN: session.window} | (WINDOWS if session.is_ct else {})
        centres, widths = zip(*presets.values())
        low, high = float(session.volume.values.min()), float(session.volume.values.max())
        span = max(high - low, *widths)
        fine = {"step": span / 4000, "readout_format": ".4g", **wide}
        self.slice = ipw.IntSlider(session.first, 0, session.volume.depth - 1, description="slice", **wide)
        ends = {"min": min(low, *centres), "max": max(high, *centres)}
        self.centre = ipw.FloatSlider(session.window[0], description="level", **ends, **fine)
        self.width = ipw.FloatSlider(session.window[1], min=span / 4000, max=span, description="width", **fine)
        self.window = ipw.Dropdown(options=presets, index=0, description="window", layout={"width": "230px"})
        self.opacity = ipw.FloatSlider(opacity, min=0, max=1, step=0.05, description="opacity", **wide)
        self.switches = {name: ipw.Checkbox(True, description=name, indent=False) for name in session.overlays}
        narrow = {"layout": {"width": "auto"}}
        self.before = ipw.Button(icon="step-backward", tooltip="the slice below with an overlay", **narrow)
        self.after = ipw.Button(icon="step-forward", tooltip="the slice above with an overlay", **narrow)

    @property
    def look(self) -> Look:
        """What is shown now."""
        shown = tuple(name for name, switch in self.switches.items() if switch.value)
        return Look(self.slice.value, self.centre.value, self.width.value, self.opacity.value, shown)

    def _take_window(self, _change: Any = None) -> None:
        self.centre.value, self.width.value = self.window.value

    def _jump(self, step: int) -> None:
        self.slice.value = self.session.next_with(self.slice.value, self.look.shown, step)

    def _show(self) -> None:
        look = self.look
        self.picture.value = jpeg(self.session.draw(look))
        self.text.value = f"<span style='font-size:13px'>{escape(self.session.sentence(look))}</span>"

    @property
    def widget(self) -> ipw.Widget:
        """Everything, laid out: the picture and its slice above, window and overlays below."""
        row = ipw.Layout(grid_gap="8px", flex_flow="row wrap", align_items="center")
        lines = [self.picture, self.text, self.slice, ipw.HBox([self.window], layout=row), self.centre, self.width]
        if self.switches:
            marks = [self._marked(name, switch) for name, switch in self.switches.items()]
            lines += [ipw.HBox([self.before, self.after, *marks], layout=row), self.opacity]
        return ipw.VBox([*lines, self.message])

    def _marked(self, name: str, switch: ipw.Checkbox) -> ipw.Widget:
        """An overlay's switch beside its colour."""
        colour = "rgb" + str(self.session.colours[name])
        return ipw.HBox([ipw.HTML(f"<span style='color:{colour};font-size:16px'>&#9632;</span>"), switch])

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget where it can live, and a picture of it where it cannot (a notebook read on a web page)."""
        still = beside({self.session.sentence(self.look): self.session.draw(self.look)})
        return {**self.widget._repr_mimebundle_(**kwargs), "text/plain": repr(self), "image/jpeg": still}

    def __repr__(self) -> str:
        overlays = f" with {', '.join(self.session.overlays)}" if self.session.overlays else ""
        return f"SliceBrowser({self.session.volume.name}{overlays}, showing {self.session.sentence(self.look)})"
