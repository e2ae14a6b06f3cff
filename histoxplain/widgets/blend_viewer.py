"""Blend an image and its counterfactual, and see what changed by more than a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import torch

from histoxplain._checks import check, check_between
from histoxplain.explain import quantised
from histoxplain.explain.attribution.attribute import device_of
from histoxplain.explain.attribution.scores import opinions
from histoxplain.explain.change import change_limit, change_map
from histoxplain.explain.explainer import evaluating
from histoxplain.widgets.change_picture import change_over
from histoxplain.widgets.latest import Latest
from histoxplain.widgets.picture import beside, enlarged, jpeg, picture
from histoxplain.widgets.readout import Message, bars_html

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from histoxplain.explain import Explanation
    from histoxplain.models import Bundle


class BlendViewer:
    """An image on its way to its counterfactual, what changed so far, and what two classifiers think of it.

    Args:
        bundle: whose classifier, and oracle where it has one, are asked.
        explanations: to choose from; the first counterfactual of each is shown.
        blend: the share of the counterfactual at first.
        threshold: the least change that is coloured at first, as a share of the way from black to white.
        side: size of each picture, in pixels.

    Raises:
        InputError: if there is no counterfactual, or a share is not between 0 and 1.
    """

    def __init__(
        self,
        bundle: Bundle,
        explanations: Sequence[Explanation],
        blend: float = 1.0,
        threshold: float = 0.1,
        side: int = 300,
    ) -> None:
        self.bundle, self.side = bundle, side
        self.explanations = [one for one in explanations if len(one.counterfactuals)]
        check(bool(self.explanations), "explanations", "hold a counterfactual", "none", "ask for another class")
        check_between("blend", blend, 0.0, 1.0)
        check_between("threshold", threshold, 0.0, 1.0)
        names = [f"{one.case_id}: to {one.class_names[one.target_class]}" for one in self.explanations]
        self.which = ipw.Dropdown(options=[(name, i) for i, name in enumerate(names)], description="image")
        wide = {"min": 0, "step": 0.01, "readout_format": ".0%", "layout": {"width": f"{2 * side}px"}}
        self.blend = ipw.FloatSlider(blend, max=1, description="blend", **wide)
        self.threshold = ipw.FloatSlider(threshold, max=0.5, description="threshold", **wide)
        size = {"width": side, "height": side}
        self.image, self.changed = (ipw.Image(format="jpeg", **size) for _ in range(2))
        self.image_text, self.changed_text, self.first, self.second = (ipw.HTML() for _ in range(4))
        self.message = Message()
        self._draw = Latest(self._show, self.message.report)
        for control in (self.which, self.blend, self.threshold):
            control.observe(self._draw, "value")
        self._draw.now()

    @property
    def explanation(self) -> Explanation:
        """The one that is shown."""
        return self.explanations[self.which.value]

    @property
    def blended(self) -> Tensor:
        """The image that is shown, `(C, H, W)` in `[-1, 1]`, as 8 bits hold it."""
        e = self.explanation
        return quantised(torch.lerp(e.original, e.counterfactuals[0], self.blend.value))

    @property
    def change(self) -> Tensor:
        """What changed so far, `(H, W)` in `[-1, 1]`."""
        return change_map(self.explanation.original, self.blended)

    def opinions(self) -> list[Tensor]:
        """Probabilities `(K,)` of what is shown, by the classifier and by the oracle where there is one."""
        asked = [one for one in (self.bundle.classifier, getattr(self.bundle, "oracle", None)) if one is not None]
        with evaluating(*asked):
            return [opinions(one, self.blended[None].to(device_of(one)))[0].cpu() for one in asked]

    def _show(self) -> None:
        e, (left, right), heard = self.explanation, self._pictures(), self.opinions()
        self.image.value, self.changed.value = jpeg(left), jpeg(right)
        self.image_text.value, self.changed_text.value = map(_title, self._words())
        self.first.value = bars_html(heard[0], e.class_names, self.side)
        second = _title("a second, independent classifier") + bars_html(heard[1], e.class_names, self.side)
        self.second.value = second if len(heard) > 1 else ""

    def _words(self) -> tuple[str, str]:
        share = float((self.change.abs() >= self.threshold.value).float().mean())
        return (
            f"{self.blend.value:.0%} of the way to {self.explanation.class_names[self.explanation.target_class]}",
            f"changed by {self.threshold.value:.0%} or more: {share:.0%} of the pixels",
        )

    def _pictures(self) -> tuple[Image.Image, Image.Image]:
        whole = change_map(self.explanation.original, self.explanation.counterfactuals[0])
        mixed = change_over(self.blended, self.change, change_limit(whole), self.threshold.value)
        return picture(self.blended, self.side), enlarged(mixed, self.side)

    @property
    def widget(self) -> ipw.Widget:
        """Everything, laid out."""
        row = ipw.Layout(grid_gap="12px", flex_flow="row wrap")
        left = ipw.VBox([self.image_text, self.image, self.first])
        right = ipw.VBox([self.changed_text, self.changed, self.second])
        controls = [self.which, self.blend, self.threshold]
        return ipw.VBox([*controls, ipw.HBox([left, right], layout=row), self.message])

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget where it can live, and a picture of it where it cannot (a notebook read on a web page)."""
        (left, right), (first, second) = self._pictures(), self._words()
        p = float(self.opinions()[0][self.explanation.target_class])
        still = {"original": picture(self.explanation.original, self.side), f"{first} ({p:.0%} sure)": left}
        still[second] = right
        return {**self.widget._repr_mimebundle_(**kwargs), "text/plain": repr(self), "image/jpeg": beside(still)}

    def __repr__(self) -> str:
        return f"BlendViewer({len(self.explanations)} images, showing {self.explanation.case_id})"


def _title(text: str) -> str:
    return f"<b style='font-size:13px'>{escape(text)}</b>"
