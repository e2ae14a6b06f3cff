"""Drag a threshold and see which part of an image counts as abnormal, beside the truth where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import torch

from histoxplain._checks import check
from histoxplain.explain import MaskSettings, difference_map
from histoxplain.metrics import segmentation_scores
from histoxplain.widgets.latest import Latest
from histoxplain.widgets.picture import beside, picture
from histoxplain.widgets.readout import Message

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from histoxplain.explain import Explanation

TINT = torch.tensor([-1.0, 0.6, 1.0])
"""The colour of a mask over an image."""


@dataclass(frozen=True, eq=False)
class MaskSession:
    """Masks of explanations at any threshold, and how they agree with the truth; no widgets.

    Args:
        explanations: of the method inpainting.
        truths: the true masks, boolean `(H, W)`, one an explanation; None where they are not known.

    Raises:
        InputError: if there is no explanation, one has no counterfactual, or there are more or fewer truths.
    """

    explanations: Sequence[Explanation]
    truths: Sequence[Tensor] | None = None

    def __post_init__(self) -> None:
        count = len(self.explanations)
        check(count > 0, "explanations", "hold at least one", "none", "call `Inpainting.explain` first")
        found = all(len(one) for one in self.explanations)
        check(found, "explanations", "have a counterfactual each", "one without")
        given = count if self.truths is None else len(self.truths)
        check(given == count, "truths", f"be one for each of {count} explanations", given)

    @property
    def settings(self) -> MaskSettings:
        """How the masks of the first record were made."""
        return MaskSettings(**self.explanations[0].settings.get("mask", {}))

    def mask(self, i: int, settings: MaskSettings) -> Tensor:
        """Boolean `(H, W)`."""
        one = self.explanations[i]
        return settings(difference_map(one.original[None], one.counterfactuals[:1]))[0]

    def scores(self, i: int, settings: MaskSettings) -> dict[str, float]:
        """`iou`, `dice`, `precision` and `recall`; empty where the truth is not known."""
        if self.truths is None:
            return {}
        found = segmentation_scores(self.mask(i, settings)[None], self.truths[i][None])
        return {name: float(value) for name, value in found.items()}


class MaskViewer:
    """Original, counterfactual, mask and truth of one image, and sliders for threshold and smoothing.

    Args:
        explanations, truths: see `MaskSession`.
        side: of each picture, in pixels.
    """

    def __init__(
        self, explanations: Sequence[Explanation], truths: Sequence[Tensor] | None = None, side: int = 240
    ) -> None:
        self.session, self.side = MaskSession(explanations, truths), side
        start = self.session.settings
        names = [(one.case_id, i) for i, one in enumerate(explanations)]
        self.which = ipw.Dropdown(options=names, description="image")
        wide = {"width": f"{2 * side}px"}
        self.threshold = ipw.FloatSlider(
            start.threshold, min=0, max=0.5, step=0.005, description="threshold", readout_format=".3f", layout=wide
        )
        self.smooth = ipw.FloatSlider(start.smooth, min=0, max=5, step=0.5, description="smooth", layout=wide)
        self.largest = ipw.Checkbox(start.largest, description="largest part only")
        self.pictures = ipw.Image(format="jpeg")
        self.text, self.message = ipw.HTML(), Message()
        self._draw = Latest(self._show, self.message.report)
        for control in (self.which, self.threshold, self.smooth, self.largest):
            control.observe(self._draw, "value")
        self._draw.now()

    @property
    def settings(self) -> MaskSettings:
        """As the sliders stand."""
        changed = {"threshold": self.threshold.value, "smooth": self.smooth.value, "largest": self.largest.value}
        return replace(self.session.settings, **changed)

    def _show(self) -> None:
        self.pictures.value = beside(self._row())
        self.text.value = f"<span style='font-size:13px'>{escape(self.said())}</span>"

    def said(self) -> str:
        """How large the mask is and how well it agrees, in words."""
        i, settings = self.which.value, self.settings
        parts = [f"{self.session.mask(i, settings).float().mean():.0%} of the image"]
        parts += [f"{name} {value:.2f}" for name, value in self.session.scores(i, settings).items()]
        return ", ".join(parts)

    def _row(self) -> dict[str, Image.Image]:
        i = self.which.value
        one = self.session.explanations[i]
        shown = {
            "original": one.original,
            "counterfactual": one.counterfactuals[0],
            f"mask above {self.threshold.value:.3f}": tinted(one.original, self.session.mask(i, self.settings)),
        }
        if self.session.truths is not None:
            shown["truth"] = tinted(one.original, self.session.truths[i])
        return {name: picture(x, self.side, smooth=False) for name, x in shown.items()}

    @property
    def widget(self) -> ipw.Widget:
        """Everything, laid out."""
        controls = [self.which, self.threshold, self.smooth, self.largest]
        return ipw.VBox([*controls, self.pictures, self.text, self.message])

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget where it can live, and a picture of it where it cannot (a notebook read on a web page)."""
        return {**self.widget._repr_mimebundle_(**kwargs), "text/plain": repr(self), "image/jpeg": beside(self._row())}

    def __repr__(self) -> str:
        return f"MaskViewer({len(self.session.explanations)} images, showing {self.said()})"


def tinted(x: Tensor, mask: Tensor) -> Tensor:
    """An image `(C, H, W)` as `(3, H, W)`, half of its colour replaced inside a mask.

    Example:
        >>> tinted(torch.ones(1, 1, 2), torch.tensor([[True, False]]))[:, 0].tolist()
        [[0.0, 1.0], [0.8..., 1.0], [1.0, 1.0]]
    """
    colours = x.expand(3, -1, -1)
    return torch.where(mask, (colours + TINT[:, None, None]) / 2, colours)
