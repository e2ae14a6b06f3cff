"""Ask what would make it another class, by which method, and where the image may change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as ipw

from histoxplain.widgets.answers import MOST
from histoxplain.widgets.explorer.stage import Stage


class Asking:
    """The question in the line above the pictures.

    Args:
        methods: what can look for answers; the first is taken at first.
        on_ask: is called when the button is pressed.
        on_stop: is called when it is pressed while a search is under way.
    """

    def __init__(self, methods: Sequence[str], on_ask: Callable[[], None], on_stop: Callable[[], None]) -> None:
        self.target = ipw.Dropdown(layout={"width": "150px"}, tooltip="the class that it shall become")
        tip = "how many different answers"
        self.count = ipw.BoundedIntText(3, min=1, max=MOST, layout={"width": "52px"}, tooltip=tip)
        self.button = ipw.Button(description="Explain", button_style="primary", layout={"width": "90px"})
        self.method = ipw.Dropdown(options=list(methods), description="method", layout={"width": "220px"})
        self._on_ask, self._on_stop, self.busy = on_ask, on_stop, False
        self.button.on_click(lambda _: on_stop() if self.busy else on_ask())
        self.parts = [ipw.Label("What would make it"), self.target, ipw.Label("? Answers:"), self.count, self.button]

    def show(self, targets: Sequence[str]) -> None:
        """Offer these classes; the one that is chosen stays, if it is among them."""
        if list(self.target.options) != list(targets):
            chosen = self.target.value
            self.target.options = list(targets)
            self.target.value = chosen if chosen in targets else targets[0]

    def work(self, busy: bool) -> None:
        """The button stops a search that is under way."""
        self.busy = busy
        self.button.description, self.button.button_style = ("Stop", "warning") if busy else ("Explain", "primary")


class Region:
    """Paint where the image may change.

    Args:
        stage: is painted on.
        method: the dropdown of methods.
        on_change: gets the mask when it was painted; see `Question.mask`.
    """

    def __init__(self, stage: Stage, method: ipw.Dropdown, on_change: Callable[[bytes], None]) -> None:
        self.stage, self._on_change, self._deaf = stage, on_change, False
        self.brush = ipw.ToggleButton(description="Brush", icon="paint-brush", tooltip="paint on the image (key B)")
        side = stage.resolution
        self.size = ipw.FloatSlider(side / 6, min=2, max=side / 2, step=1, description="width", readout_format=".0f")
        self.turn = ipw.Button(description="Invert")
        self.clear = ipw.Button(description="Clear")
        ipw.link((self.brush, "value"), (stage, "brush"))
        ipw.jslink((self.size, "value"), (stage, "brush_size"))
        stage.observe(self._painted, "mask")
        self.clear.on_click(lambda _: setattr(stage, "mask", b""))
        self.turn.on_click(lambda _: self._invert())
        self.share = ipw.HTML()
        words = (
            "The next answer changes only what you paint; everything else stays as it is, to the pixel. "
            "Shift erases. Without a region, everything may change."
        )
        row = ipw.Layout(flex_flow="row wrap", grid_gap="6px")
        buttons = ipw.HBox([self.brush, self.turn, self.clear], layout=row)
        notes = [ipw.HTML(f"<div class='hx-note'>{words}</div>"), self.share]
        self.widget = ipw.VBox([*notes, buttons, self.size, method])
        self.show(b"")

    def show(self, mask: bytes) -> None:
        """Show a region, without telling."""
        self._deaf = True
        self.stage.mask = mask
        self._deaf = False
        part = f"{mask.count(255) / len(mask):.0%} of the image may change" if mask else "everything may change"
        self.share.value = f"<b>{part}</b>"

    def _invert(self) -> None:
        mask = self.stage.mask or bytes(self.stage.resolution**2)
        self.stage.mask = bytes(255 - value for value in mask)

    def _painted(self, change: dict[str, Any]) -> None:
        if not self._deaf:
            self._on_change(bytes(change["new"]))
