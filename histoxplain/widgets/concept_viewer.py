"""Choose an image, move its concepts, and watch image and classifier follow."""

from __future__ import annotations

from html import escape
from time import perf_counter
from typing import Any

import ipywidgets as ipw
from PIL import Image

from histoxplain._checks import check_between
from histoxplain.explain.attribution.colours import overlay
from histoxplain.viz.latent_map import class_colours
from histoxplain.widgets.concept_session import ConceptBar, ConceptSession
from histoxplain.widgets.latest import Latest
from histoxplain.widgets.picture import beside, enlarged, jpeg, picture
from histoxplain.widgets.readout import Message, bars_html

NOWHERE = "nothing"


class ConceptViewer:
    """One slider a concept, as long as the image has of it; image and probabilities follow.

    Args:
        session: computes what is seen.
        side: size of each picture, in pixels.
        index: the specimen to begin with.
        count: how many concepts get a slider.

    Raises:
        InputError: if there is no such specimen.
    """

    def __init__(self, session: ConceptSession, side: int = 300, index: int = 0, count: int = 8) -> None:
        check_between("index", index, 0, len(session.specimens) - 1)
        self.session, self.side = session, side
        self.bars: list[ConceptBar] = session.bars(index, count)
        self._make_controls()
        self._make_pictures()
        self._draw = Latest(self._show, self.message.report)
        self._deaf = False
        for slider in self.sliders:
            slider.observe(self._moved, "value")
        self.image.index = index
        self.image.observe(self._choose, "index")
        self.where.observe(self._show_where, "index")
        self.back.on_click(self._choose)
        self._choose()

    def _make_controls(self) -> None:
        names = [specimen.name for specimen in self.session.specimens]
        self.image = ipw.Dropdown(options=names, description="image", layout={"width": "260px"})
        self.back = ipw.Button(description="back to the image", icon="undo", tooltip="Undo all sliders")
        self.where = ipw.Dropdown(description="show where", layout={"width": "260px"})
        wide = {"style": {"description_width": "0px"}, "layout": {"width": f"{self.side}px"}}
        self.sliders = [ipw.FloatSlider(readout_format=".2f", **wide) for _ in self.bars]
        self.labels = [ipw.HTML(layout={"width": f"{self.side}px"}) for _ in self.bars]

    def _make_pictures(self) -> None:
        size = {"width": self.side, "height": self.side}
        self.before, self.now = (ipw.Image(format="jpeg", **size) for _ in range(2))
        self.before_text, self.now_text = ipw.HTML(), ipw.HTML()
        self.before_bars, self.now_bars, self.concept_bars = ipw.HTML(), ipw.HTML(), ipw.HTML()
        self.message = Message()

    def _choose(self, _change: Any = None) -> None:
        """Show the chosen image; its sliders stand at what it has."""
        index, session = self.image.index, self.session
        self.bars, self._deaf = session.bars(index, len(self.sliders)), True
        colours = class_colours(session.class_names)
        for slider, label, bar in zip(self.sliders, self.labels, self.bars):
            slider.min, slider.max = 0.0, max(bar.most, slider.value)
            slider.value = bar.amount
            slider.max, slider.step = bar.most, bar.most / 100
            label.value = bar_label(bar, colours[bar.target])
        self.where.options = [NOWHERE, *(bar.name for bar in self.bars)]
        self._deaf = False
        self._show_where()
        self.before_bars.value = bars_html(session.specimens[index].probabilities, session.class_names, self.side)
        self._draw.now()

    @property
    def amounts(self) -> dict[int, float]:
        """Where the sliders stand, of those that were moved."""
        moved = zip(self.bars, (slider.value for slider in self.sliders))
        return {bar.number: value for bar, value in moved if abs(value - bar.amount) > 0.005 * bar.most}

    def _moved(self, change: dict[str, Any]) -> None:
        if not self._deaf:
            self._draw(change)

    def _show_where(self, _change: Any = None) -> None:
        """The image, or the place of one of its concepts in it."""
        specimen, chosen = self.session.specimens[self.image.index], self.where.index or 0
        self.before_text.value = _title(specimen.name if chosen == 0 else f"{specimen.name}: {self.where.value}")
        self.before.value = jpeg(self._placed(chosen))

    def _placed(self, chosen: int) -> Image.Image:
        x = self.session.specimens[self.image.index].image
        if chosen == 0:
            return picture(x, self.side)
        map = self.session.where(self.image.index, self.bars[chosen - 1].number)
        return enlarged(overlay(x, map, (0.0, float(map.max()) or 1.0), signed=False), self.side)

    def _show(self) -> None:
        start = perf_counter()
        sight = self.session.at(self.image.index, self.amounts)
        self.now.value = jpeg(picture(sight.image, self.side))
        self.now_bars.value = bars_html(sight.probabilities, self.session.class_names, self.side)
        self.concept_bars.value = bars_html(sight.predicted, self.session.class_names, self.side)
        milliseconds = 1000 * (perf_counter() - start)
        said = "as you move it" if self.amounts else "redrawn, nothing moved"
        self.now_text.value = _title(said) + f" <span style='color:#888'>(in {milliseconds:.0f} ms)</span>"

    @property
    def widget(self) -> ipw.Widget:
        """Everything, laid out: the image, the image as it is moved, and the sliders."""
        gap = ipw.Layout(grid_gap="14px", flex_flow="row wrap")
        left = ipw.VBox([self.before_text, self.before, _title_of("the classifier"), self.before_bars])
        parts = [self.now_text, self.now, _title_of("the classifier"), self.now_bars]
        right = ipw.VBox([*parts, _title_of("the concepts alone"), self.concept_bars])
        pairs = [part for row in zip(self.labels, self.sliders) for part in row]
        return ipw.VBox(
            [
                ipw.HBox([self.image, self.where, self.back], layout=gap),
                ipw.HBox([left, right, ipw.VBox(pairs)], layout=gap),
                self.message,
            ]
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget where it can live, and a picture of it where it cannot (a notebook read on a web page)."""
        sight, specimen = self.session.at(self.image.index, self.amounts), self.session.specimens[self.image.index]
        names = self.session.class_names
        best = [int(p.argmax()) for p in (specimen.probabilities, sight.probabilities)]
        opinions = [
            f"{what}: {names[k]} {float(p[k]):.0%}"
            for what, k, p in zip((specimen.name, self._said()), best, (specimen.probabilities, sight.probabilities))
        ]
        still = {opinions[0]: picture(specimen.image, self.side), opinions[1]: picture(sight.image, self.side)}
        if self.where.index:
            still[f"where: {self.where.value}"] = self._placed(self.where.index)
        bundle = self.widget._repr_mimebundle_(**kwargs) | {"text/plain": repr(self)}
        return {**bundle, "image/jpeg": beside(still)}

    def _said(self) -> str:
        moved = self.amounts
        if len(moved) > 1:
            return f"{len(moved)} concepts moved"
        return (
            ", ".join(
                f"{bar.name} {bar.amount:.1f} to {moved[bar.number]:.1f}" for bar in self.bars if bar.number in moved
            )
            or "redrawn"
        )

    def __repr__(self) -> str:
        return f"ConceptViewer({len(self.session.specimens)} images, {len(self.sliders)} concepts, {self._said()})"


def bar_label(bar: ConceptBar, colour: str) -> str:
    """The words over a slider: the concept, the class that it speaks for or against in that class's colour, its range.

    Example:
        >>> bar_label(ConceptBar(2, "air", 1.0, 4.0, 2.6, "benign", -2.5), "#111111")[-107:]
        "111111'>against benign (weight -2.50)</span> <span style='color:#888'>here 1.0, rich images have 2.6</span>"
    """
    how = "for" if bar.weight >= 0 else "against"
    said = f"{how} {escape(bar.target)} (weight {bar.weight:+.2f})"
    much = f"<span style='color:#888'>here {bar.amount:.1f}, rich images have {bar.rich:.1f}</span>"
    return f"<b>{escape(bar.name)}</b> <span style='color:{colour}'>{said}</span> {much}"


def _title(text: str) -> str:
    return f"<b style='font-size:13px'>{escape(text)}</b>"


def _title_of(text: str) -> ipw.HTML:
    return ipw.HTML(f"<span style='font-size:12px;color:#666'>{escape(text)}</span>")
