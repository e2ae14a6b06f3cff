"""Choose an image and a class, and walk from the image to what it would have to look like."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as ipw
from PIL import Image

from histoxplain._checks import check_between, check_one_of
from histoxplain.explain import Explanation, Film, change_map, paint_change
from histoxplain.explain.change import DARKER, LIGHTER, change_limit
from histoxplain.widgets.counterfactual_session import CounterfactualSession
from histoxplain.widgets.latest import Latest
from histoxplain.widgets.picture import beside, enlarged, jpeg, picture
from histoxplain.widgets.readout import Message, bars_html, curve_html

_LEGEND = f"purple {DARKER}, orange {LIGHTER}"


class CounterfactualViewer:
    """Ask what an image would have to look like to be another class, and walk there with a slider.

    Args:
        session: computes explanations and walks.
        side: size of each picture, in pixels.
        index: the specimen to begin with.
        target: the class to ask for at first; None takes the classifier's second choice.
        count: how many counterfactuals to ask for at first.

    Raises:
        InputError: if there is no such specimen or class.
    """

    def __init__(
        self, session: CounterfactualSession, side: int = 300, index: int = 0, target: str | None = None, count: int = 1
    ) -> None:
        check_between("index", index, 0, len(session.specimens) - 1)
        check_one_of("target", target, [None, *session.targets(index)])
        self.session, self.side = session, side
        self.explanation: Explanation | None = None
        self._way: Film | None = None
        self._make_controls(count)
        self._make_pictures()
        self._draw = Latest(self._show_step, self.message.report)
        self._search = Latest(self._explain, self.message.report)
        self.image.observe(self._choose, "index")
        self.button.on_click(self._ask)
        self.which.observe(self._take_way, "index")
        self.step.observe(self._draw, "value")
        self.image.index = index
        self._choose()
        self.target.value = target or self.target.value
        self._search.now()

    def _make_controls(self, count: int) -> None:
        names = [specimen.name for specimen in self.session.specimens]
        self.image = ipw.Dropdown(options=names, description="image", layout={"width": "260px"})
        self.target = ipw.Dropdown(description="shall become", style={"description_width": "90px"})
        self.count = ipw.BoundedIntText(count, min=1, max=8, description="ways", layout={"width": "130px"})
        self.button = ipw.Button(description="Explain", icon="search", button_style="primary")
        self.which = ipw.ToggleButtons(description="way", style={"button_width": "48px"})
        last = self.session.steps - 1
        wide = {"width": "100%", "max_width": f"{3 * self.side}px"}
        self.step = ipw.IntSlider(0, 0, last, readout=False, description="walk", layout=wide)
        self.play = ipw.Play(min=0, max=last, interval=120, layout={"width": "140px"})
        self._link = ipw.jslink((self.play, "value"), (self.step, "value"))

    def _make_pictures(self) -> None:
        size = {"width": self.side, "height": self.side}
        self.before, self.now, self.change = (ipw.Image(format="jpeg", **size) for _ in range(3))
        self.before_text, self.now_text, self.change_text = (ipw.HTML() for _ in range(3))
        self.before_bars, self.now_bars, self.curve, self.message = ipw.HTML(), ipw.HTML(), ipw.HTML(), Message()

    def _choose(self, _change: Any = None) -> None:
        """Show the chosen image; what was explained before no longer applies."""
        specimen = self.session.specimens[self.image.index]
        self.explanation = self._way = None
        self.target.options = self.session.targets(self.image.index)
        self.target.index = 0
        self.before.value = self.now.value = jpeg(picture(specimen.image, self.side))
        self.before_text.value, self.now_text.value = _title(specimen.name), _title("press Explain")
        self.before_bars.value = bars_html(specimen.probabilities, self.session.class_names, self.side)
        self.now_bars.value = self.curve.value = self.change_text.value = ""
        self.change.value = b""
        self.which.options, self.step.disabled = [], True

    def _ask(self, _button: Any = None) -> None:
        self.message.tell("Searching; a real image takes longest, because its place in latent space is found first ...")
        self._search()

    def _explain(self) -> None:
        explanation = self.session.explain(self.image.index, self.target.value, self.count.value)
        self.explanation = explanation
        marks = ["" if ok else " ?" for ok in explanation.valid]
        self.which.options = [f"{i + 1}{mark}" for i, mark in enumerate(marks)]
        self.which.index = 0 if marks else None
        self._take_way()

    def _take_way(self, _change: Any = None) -> None:
        """Lay out the way to the chosen counterfactual and go to its end."""
        if self.explanation is None or self.which.index is None:
            return
        self._way = self.session.walk(self.explanation, self.which.index)
        self.step.disabled = False
        self.step.value = len(self._way) - 1
        self._draw.now()

    def _show_step(self) -> None:
        if self._way is None or self.explanation is None:
            return
        way, at, names = self._way, self.step.value, self.session.class_names
        self.now.value = jpeg(picture(way.frames[at], self.side))
        self.now_text.value = _title(_milestone(self.explanation, at, len(way)))
        self.now_bars.value = bars_html(way.probabilities[at], names, self.side)
        self.change.value = jpeg(self._painted(at))
        self.change_text.value = _title(_LEGEND)
        self.curve.value = curve_html(way.probabilities, names, at, self.explanation.threshold, 2 * self.side)

    def _painted(self, at: int) -> Image.Image:
        change = change_map(self._way.frames[:1], self._way.frames)
        return enlarged(paint_change(change[at], change_limit(change[-1])), self.side)

    @property
    def widget(self) -> ipw.Widget:
        """Everything, laid out: the question above, the pictures, the walk below."""
        gap = ipw.Layout(grid_gap="12px", flex_flow="row wrap", align_items="center")
        top = ipw.Layout(grid_gap="12px", flex_flow="row wrap")
        pictures = [
            ipw.VBox([self.before_text, self.before, self.before_bars]),
            ipw.VBox([self.now_text, self.now, self.now_bars]),
            ipw.VBox([self.change_text, self.change]),
        ]
        question = ipw.HBox([self.image, self.target, self.count, self.button], layout=gap)
        walk = ipw.HBox([self.play, self.which], layout=gap)
        return ipw.VBox([question, self.message, ipw.HBox(pictures, layout=top), walk, self.step, self.curve])

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget where it can live, and a picture of it where it cannot (a notebook read on a web page)."""
        bundle = self.widget._repr_mimebundle_(**kwargs) | {"text/plain": repr(self)}
        if self._way is None:
            return bundle
        at, where = self.step.value, _milestone(self.explanation, self.step.value, len(self._way))
        first, now = (picture(self._way.frames[i], self.side) for i in (0, at))
        still = {self.explanation.case_id: first, where: now, _LEGEND: self._painted(at)}
        return {**bundle, "image/jpeg": beside(still)}

    def __repr__(self) -> str:
        return f"CounterfactualViewer({len(self.session.specimens)} images, showing {self.explanation})"


def _milestone(explanation: Explanation, at: int, steps: int) -> str:
    if at == 0:
        return "start" if explanation.reconstruction is None else "start: the image as the generator draws it"
    if at < steps - 1:
        return f"{at / (steps - 1):.0%} of the way"
    return f"counterfactual: {explanation.class_names[explanation.target_class]}"


def _title(text: str) -> str:
    return f"<b style='font-size:13px'>{escape(text)}</b>"
