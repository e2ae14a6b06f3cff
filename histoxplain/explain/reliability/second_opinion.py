"""Does an independent classifier agree? One that no search computed with tells explanations from patterns that fool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from histoxplain._checks import InputError
from histoxplain.explain.images import quantised
from histoxplain.explain.reliability.check import Check, unchecked
from histoxplain.explain.reliability.opinions import device_of, probabilities_of

if TYPE_CHECKING:
    from histoxplain.explain import Explanation

NAME, QUESTION = "second_opinion", "Does a second, independent classifier agree?"


def check_second_opinion(explanation: Explanation, oracle: Any | None) -> Check:
    """Whether the oracle gives the original to its class, and every counterfactual to the target.

    Args:
        explanation: the record.
        oracle: an independent classifier of the same classes, or None.
    """
    e = explanation
    if oracle is None:
        return unchecked(NAME, QUESTION, "there is no second classifier")
    images = quantised(torch.cat([e.original[None], e.counterfactuals])).to(device_of(oracle))
    try:
        p = probabilities_of(oracle, images, "oracle")
    except InputError:
        return unchecked(NAME, QUESTION, "the second classifier gives no finite numbers")
    said, target = p.argmax(1).tolist(), e.target_class
    names = e.class_names
    verdicts = [
        {"class": names[k], "probability": round(float(row[target]), 4), "agrees": k == target}
        for k, row in zip(said[1:], p[1:])
    ]
    doubtful = {i: f"the second classifier calls it {names[k]}" for i, k in enumerate(said[1:]) if k != target}
    original = said[0] == e.source_class
    doubts = () if original else (f"the second classifier calls the original {names[said[0]]}",)
    figures = {"original": names[said[0]], "target": names[target], "counterfactuals": verdicts}
    return Check(NAME, QUESTION, _words(e, said), doubts, doubtful, figures)


def _words(e: Explanation, said: list[int]) -> str:
    first = f"original {e.class_names[said[0]]}"
    agreeing = sum(k == e.target_class for k in said[1:])
    rest = f"; {agreeing} of {len(e)} change{'s' * (len(e) != 1)} {e.class_names[e.target_class]}" if len(e) else ""
    return first + rest
