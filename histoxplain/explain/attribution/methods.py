"""The methods by name: what makes the map, what it needs, and what its numbers mean."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from histoxplain._checks import check_one_of
from histoxplain.explain.attribution.cam import grad_cam, layer_cam, score_cam
from histoxplain.explain.attribution.gradients import gradient_shap, integrated_gradients
from histoxplain.explain.attribution.hiding import kernel_shap, lime, occlusion, random_parts


@dataclass(frozen=True)
class Method:
    """One way to make a map."""

    title: str
    paper: str
    run: Callable[..., Tensor]
    """A `Task` and options to maps `(N, H, W)`."""
    signed: bool
    """Whether values may be below 0, where something speaks against the class."""
    meaning: str
    """What a value says; `{score}` is what the map explains."""
    gradient: bool = False
    """Needs a network that gradients flow through."""
    layer: bool = False
    """Makes maps of a layer, and so needs a network to look into."""
    together: bool = False
    """Takes several images at once; others take them one by one, and look at several changed copies at once."""
    random: bool = False
    score: str = "logit"
    """What it explains unless told otherwise."""

    @property
    def black_box(self) -> bool:
        """Whether a classifier that is just a callable will do."""
        return not (self.gradient or self.layer)

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        """The method's own options, those not given at their defaults.

        Raises:
            InputError: if one is unknown.
        """
        known = inspect.signature(self.run).parameters.values()
        defaults = {one.name: one.default for one in known if one.kind is one.KEYWORD_ONLY}
        for name in given:
            check_one_of(f"option of {self.title}", name, defaults or ["left out"])
        return defaults | given


_CAM = {"signed": False, "layer": True, "meaning": "evidence in the layer, in shares of the {score}"}
_PART = {"signed": True, "random": True}
ATTRIBUTIONS: dict[str, Method] = {
    "grad-cam": Method("Grad-CAM", "Selvaraju et al., 2017", grad_cam, gradient=True, together=True, **_CAM),
    "layer-cam": Method("Layer-CAM", "Jiang et al., 2021", layer_cam, gradient=True, together=True, **_CAM),
    "score-cam": Method(
        "Score-CAM",
        "Wang et al., 2020",
        score_cam,
        **_CAM | {"meaning": "activation, weighted by the {score} it keeps"},
    ),
    "integrated-gradients": Method(
        "Integrated gradients",
        "Sundararajan et al., 2017",
        integrated_gradients,
        True,
        "share of the {score}",
        gradient=True,
        together=True,
    ),
    "gradient-shap": Method(
        "SHAP (gradient)",
        "Lundberg & Lee, 2017",
        gradient_shap,
        True,
        "share of the {score}, on average over noise",
        gradient=True,
        random=True,
    ),
    "occlusion": Method("Occlusion", "Zeiler & Fergus, 2014", occlusion, True, "fall of the {score} when hidden"),
    "lime": Method("LIME", "Ribeiro et al., 2016", lime, meaning="weight of the part in a linear stand-in", **_PART),
    "kernel-shap": Method(
        "SHAP (kernel)", "Lundberg & Lee, 2017", kernel_shap, meaning="share of the part in the {score}", **_PART
    ),
    "rise": Method(
        "RISE",
        "Petsiuk et al., 2018",
        random_parts,
        False,
        "mean {score} while visible",
        random=True,
        score="probability",
    ),
}
"""The methods that `attribute` knows, by name."""
