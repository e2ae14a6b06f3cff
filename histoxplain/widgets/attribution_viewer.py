"""Choose a map and drag a slider: only the part of the image that matters most stays."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw

from histoxplain._checks import check, check_between
from histoxplain.explain import ATTRIBUTIONS
from histoxplain.explain.attribution.attribute import classifier_of, device_of
from histoxplain.explain.attribution.scores import opinions
from histoxplain.widgets.latest import Latest
from histoxplain.widgets.picture import beside, enlarged, jpeg, picture
from histoxplain.widgets.readout import Message, bars_html

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from histoxplain.explain import Attribution


class AttributionViewer:
    """A map over its image, the part above a threshold, and the classifier's opinion of that part alone.

    Args:
        model: what was explained: a bundle, a network, or a callable to probabilities.
        attributions: the maps to choose from; at least one.
        share: of the pixels that stay at first.
        side: size of each picture, in pixels.

    Raises:
        InputError: if there is no map, or `share` is not between 0 and 1.
    """

    def __init__(self, model: Any, attributions: Sequence[Attribution], share: float = 0.25, side: int = 300) -> None:
        check(len(attributions) > 0, "attributions", "hold at least one", "none", "call `hx.explain.attribute` first")
        check_between("share", share, 0.0, 1.0)
        self.classifier, self.attributions, self.side = classifier_of(model), list(attributions), side
        several = len({one.case_id for one in attributions}) > 1
        names = [ATTRIBUTIONS[one.method].title + f": {one.case_id}" * several for one in attributions]
        self.which = ipw.Dropdown(options=[(name, i) for i, name in enumerate(names)], description="map")
        wide = {"width": f"{2 * side}px"}
        self.share = ipw.FloatSlider(
            share, min=0, max=1, step=0.01, description="share", readout_format=".0%", layout=wide
        )
        size = {"width": side, "height": side}
        self.overlay, self.kept = (ipw.Image(format="jpeg", **size) for _ in range(2))
        self.overlay_text, self.kept_text, self.before, self.after, self.message = (
            ipw.HTML(), ipw.HTML(), ipw.HTML(), ipw.HTML(), Message(),
        )  # fmt: skip
        self._draw = Latest(self._show, self.message.report)
        for control in (self.which, self.share):
            control.observe(self._draw, "value")
        self._draw.now()

    @property
    def attribution(self) -> Attribution:
        """The map that is shown."""
        return self.attributions[self.which.value]

    def opinion(self, x: Tensor) -> Tensor:
        """Probabilities `(K,)` of an image `(C, H, W)`."""
        return opinions(self.classifier, x[None].to(device_of(self.classifier)))[0].cpu()

    def _show(self) -> None:
        one, (left, right) = self.attribution, self._pictures()
        self.overlay.value, self.kept.value = jpeg(left), jpeg(right)
        self.overlay_text.value = _title(f"what speaks for {one.target_name}")
        self.kept_text.value = _title(f"the {self.share.value:.0%} that matter most")
        self.before.value = bars_html(one.probabilities, one.class_names, self.side)
        self.after.value = bars_html(self.opinion(one.kept(self.share.value)), one.class_names, self.side)

    def _pictures(self) -> tuple[Image.Image, Image.Image]:
        one = self.attribution
        return enlarged(one.overlay(), self.side), picture(one.kept(self.share.value), self.side, smooth=False)

    @property
    def widget(self) -> ipw.Widget:
        """Everything, laid out."""
        row = ipw.Layout(grid_gap="12px", flex_flow="row wrap")
        left = ipw.VBox([self.overlay_text, self.overlay, self.before])
        right = ipw.VBox([self.kept_text, self.kept, self.after])
        return ipw.VBox([self.which, self.share, ipw.HBox([left, right], layout=row), self.message])

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget where it can live, and a picture of it where it cannot (a notebook read on a web page)."""
        one, (left, right) = self.attribution, self._pictures()
        p = float(self.opinion(one.kept(self.share.value))[one.target_class])
        still = {f"{one.method}: {one.target_name} {one.probability:.0%}": left}
        still[f"the {self.share.value:.0%} that matter most: {p:.0%}"] = right
        return {**self.widget._repr_mimebundle_(**kwargs), "text/plain": repr(self), "image/jpeg": beside(still)}

    def __repr__(self) -> str:
        return f"AttributionViewer({len(self.attributions)} maps, showing {self.attribution})"


def _title(text: str) -> str:
    return f"<b style='font-size:13px'>{escape(text)}</b>"
