"""The page around the pictures: what stands where, and what can be pressed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw

from histoxplain.widgets.answers import FRAMES
from histoxplain.widgets.explorer.stage import Stage, Strip
from histoxplain.widgets.explorer.words import Notice
from histoxplain.widgets.picture import jpeg, picture
from histoxplain.widgets.specimen import Specimen, opened

if TYPE_CHECKING:
    from histoxplain.explain import Explanation
    from histoxplain.models import Bundle
    from histoxplain.widgets.state import Question
    from histoxplain.widgets.workbench import Workbench

MEASURED = "What changed"


class Frame:
    """Controls and where they stand; they do nothing by themselves.

    Args:
        side: of each picture, in pixels.
        resolution: of the images.
    """

    def __init__(self, side: int, resolution: int) -> None:
        self.stage = Stage(side=side, resolution=resolution)
        self.strip, self.message, self.bars = Strip(label="start and answers"), Notice(), ipw.HTML()
        wide, percent = {"width": "100%"}, {"min": 0, "readout_format": ".0%", "style": {"description_width": "70px"}}
        self.walk = ipw.IntSlider(0, 0, FRAMES - 1, readout=False, description="walk", layout=wide, disabled=True)
        self.walk.style.description_width = "40px"
        self.play = ipw.Play(min=0, max=FRAMES - 1, interval=120, show_repeat=False, layout={"width": "110px"})
        self._link = ipw.jslink((self.play, "value"), (self.walk, "value"))
        half = {"layout": {"width": "48%", "min_width": "200px"}}
        self.threshold = ipw.FloatSlider(0.05, max=0.5, step=0.01, description="threshold", **percent, **half)
        self.blend = ipw.FloatSlider(0.75, max=1, step=0.05, description="blend", **percent, **half)
        self._shades = [ipw.jslink((getattr(self, n), "value"), (self.stage, n)) for n in ("threshold", "blend")]
        self.image = ipw.Dropdown(description="image", style={"description_width": "42px"}, layout={"width": "190px"})
        self.upload = ipw.FileUpload(description="Open", multiple=True, layout={"width": "104px"})
        self.upload.tooltip = "an image of yours: PNG, JPEG, TIFF or DICOM"
        self.undo, self.redo = _button("Undo", "Ctrl+Z"), _button("Redo", "Ctrl+Y")
        self.reset = _button("Reset", "back to how it was before anything was moved")
        self.pin = _button("Pin", "compare with what is seen now; press again to let go")
        self.measured = ipw.HTML("<div class='hx-note'>Nothing was moved yet.</div>")
        self.tabs = ipw.Tab()
        self.widget = ipw.VBox()
        self.widget.add_class("hx-explorer")

    def lay_out(self, question: Sequence[ipw.Widget], tabs: Mapping[str, ipw.Widget]) -> None:
        """Put everything in its place."""
        row = ipw.Layout(flex_flow="row wrap", grid_gap="4px 8px", align_items="center")
        past = ipw.HBox([self.undo, self.redo, self.reset, self.pin], layout=row)
        asking = ipw.HBox([self.image, self.upload, *question], layout=row)
        top = ipw.HBox([asking, past], layout={"flex_flow": "row wrap", "justify_content": "space-between"})
        self.walking = ipw.HBox([self.play, self.walk], layout={"display": "none"})
        self.shades = ipw.HBox([self.threshold, self.blend], layout=row)
        left = [self.stage, self.shades, self.bars, self.message, self.strip, self.walking]
        wide = ipw.VBox(left, layout=ipw.Layout(flex="3 1 520px", min_width="0", grid_gap="6px"))
        self.tabs.children = tuple(tabs.values())
        self.tabs.titles = tuple(tabs)
        side = ipw.VBox([self.tabs], layout=ipw.Layout(flex="2 1 370px", min_width="0"))
        main = ipw.HBox(
            [wide, side], layout=ipw.Layout(flex_flow="row wrap", grid_gap="16px", align_items="flex-start")
        )
        self.widget.children = (top, main)

    @property
    def measuring(self) -> bool:
        """Whether the table of changes is open."""
        at = self.tabs.selected_index
        return at is not None and self.tabs.titles[at] == MEASURED

    def offer(self, explanation: Explanation, side: int) -> None:
        """Small pictures of the start and of every answer."""
        names, target = explanation.class_names, explanation.target_class
        p, trusted = explanation.probabilities_after, (explanation.reliability or {}).get("trusted", [True] * 99)
        said = [
            f"{i + 1}: {names[target]} {float(p[i, target]):.0%}"
            + ("" if ok and fine else " (doubtful)" if ok else " (not reached)")
            for i, (ok, fine) in enumerate(zip(explanation.valid.tolist(), trusted))
        ]
        images = [explanation.reference, *explanation.counterfactuals]
        self.strip.chosen = -1
        self.strip.captions = ["start", *said]
        self.strip.pictures = [jpeg(picture(x, side)) for x in images]

    def show(self, bench: Workbench, question: Question | None) -> None:
        """Buttons, walk and image as they are now."""
        history, state = bench.history, bench.state
        self.undo.disabled, self.redo.disabled = not history.can_undo, not history.can_redo
        self.pin.button_style = "info" if state.pinned is not None else ""
        walk = state.walk
        self.walk.disabled = question is None
        self.walking.layout.display = "none" if question is None else ""
        if question is None:
            self.strip.pictures, self.strip.captions = [], []
        self.strip.chosen = -1 if walk is None else walk.which + 1 if walk.at > 0 else 0
        if walk is not None:
            self.walk.value = round(walk.at * self.walk.max)
        options = [("point of the map", -1), *((one.name, i) for i, one in enumerate(bench.session.images))]
        if tuple(self.image.options) != tuple(options):
            self.image.options = options
        self.image.value = -1 if state.place.image is None else state.place.image
        self.image.layout.display = "" if bench.session.images else "none"

    @staticmethod
    def read(files: Sequence[Mapping[str, Any]], bundle: Bundle) -> list[Specimen]:
        """Uploaded files as specimens.

        Raises:
            InputError: if one is no image.
        """
        found = []
        with TemporaryDirectory() as folder:
            for file in files:
                name = Path(str(file["name"])).name
                path = Path(folder) / name
                path.write_bytes(bytes(file["content"]))
                (one,) = opened(bundle, [path])
                recipe = f"hx.widgets.opened(bundle, [{name!r}])[0]"
                found.append(Specimen(path.stem, one.image, one.probabilities, recipe=recipe))
        return found


def _button(text: str, tip: str) -> ipw.Button:
    return ipw.Button(description=text, tooltip=tip, layout={"width": "62px"})
