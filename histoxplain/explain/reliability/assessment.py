"""All questions about one explanation, asked at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from histoxplain._checks import check
from histoxplain.explain.reliability.confidence import check_sure
from histoxplain.explain.reliability.familiarity import check_familiar
from histoxplain.explain.reliability.opinions import asking, device_of
from histoxplain.explain.reliability.reconstruction import check_drawable
from histoxplain.explain.reliability.second_opinion import check_second_opinion, second_opinions
from histoxplain.explain.reliability.seeds import check_seeds
from histoxplain.explain.reliability.stability import check_stable
from histoxplain.explain.reliability.verdict import Reliability

if TYPE_CHECKING:
    from histoxplain.explain import Explainer, Explanation
    from histoxplain.models import Bundle


def reliability(
    bundle: Bundle,
    explanation: Explanation,
    *,
    classifiers: Sequence[Any] = (),
    how: str = "auto",
    seeds: Sequence[int] = (),
    explainer: Explainer | None = None,
) -> Reliability:
    """How far an explanation can be trusted.

    Asked is whether the image is of the kind that the networks know and can be redrawn by the generator, each among
    images that no network learnt from; how sure the classifier is of it; whether an independent one agrees; whether
    the verdicts survive 8 bits, JPEG and shifts; and, where `seeds` are given, whether other seeds find the same.

    Args:
        bundle: what the explanation was made with. Without an oracle or a reference their questions stay open.
        explanation: the record.
        classifiers: further classifiers of the same classes, to see how far opinions about the original differ; by
            default the bundle's oracle.
        how: where opinions about the original come from: "ensemble", "dropout" (Monte-Carlo), "views" of the image, or
            "auto": the first that is possible.
        seeds: other seeds to search from; each costs a search.
        explainer: to search with; by default one of the explanation's method with default settings.

    Raises:
        InputError: if the classes differ from the bundle's, the classifier gives NaN, or `how` is not possible.
    """
    e = explanation
    names = tuple(bundle.class_names)
    check(e.class_names == names, "explanation", f"be about {', '.join(names)}", ", ".join(e.class_names))
    oracle, reference = getattr(bundle, "oracle", None), getattr(bundle, "reference", None)
    drawn = e.reconstruction is None and "start" in e.latents
    with asking(bundle.classifier, oracle, *classifiers):
        device = device_of(bundle.classifier)
        x = e.original.to(device)
        heard = second_opinions(e, oracle)
        second = None if heard is None else heard[0]
        checks = [
            check_familiar(x, reference, drawn),
            check_drawable(e, reference, drawn),
            check_sure(e.probabilities_before, bundle.classifier, x, classifiers, how, second=second),
            check_second_opinion(e, heard, oracle is not None),
            check_stable(e, bundle.classifier, device),
        ]
        if seeds:
            checks.append(check_seeds(e, explainer or _explainer(e, bundle), seeds))
    return Reliability(tuple(checks), len(e))


def assessed(bundle: Bundle, explanation: Explanation) -> Explanation:
    """The record with its `reliability`."""
    return replace(explanation, reliability=reliability(bundle, explanation).to_json())


def _explainer(explanation: Explanation, bundle: Bundle) -> Explainer:
    from histoxplain.explain.counterfactual import make_explainer

    return make_explainer(explanation.method, bundle, threshold=explanation.threshold)
