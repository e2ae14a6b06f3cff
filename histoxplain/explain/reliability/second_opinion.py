"""Does an independent classifier agree? One that no search computed with tells explanations from patterns that fool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from histoxplain._checks import InputError
from histoxplain.explain.images import quantised
from histoxplain.explain.reliability.check import Check, unchecked
from histoxplain.explain.reliability.opinions import device_of, probabilities_of

if TYPE_CHECKING:
    from histoxplain.explain import Explanation

NAME, QUESTION = "second_opinion", "Does a second, independent classifier agree?"


def second_opinions(explanation: Explanation, oracle: Any | None) -> Tensor | None:
    """The oracle's probabilities of the original and of every counterfactual, as saved with 8 bits: `(1 + M, K)`.

    None without an oracle, or where it gives no finite numbers.
    """
    if oracle is None:
        return None
    e = explanation
    images = quantised(torch.cat([e.original[None], e.counterfactuals])).to(device_of(oracle))
    try:
        return probabilities_of(oracle, images, "oracle")
    except InputError:
        return None


def check_second_opinion(explanation: Explanation, opinions: Tensor | None, asked: bool = True) -> Check:
    """Whether the oracle gives the original to its class, and every counterfactual to the target.

    Args:
        explanation: the record.
        opinions: of `second_opinions`.
        asked: there is an oracle, which gave no finite numbers where there are no opinions.
    """
    e, p = explanation, opinions
    if p is None:
        reason = "the second classifier gives no finite numbers" if asked else "there is no second classifier"
        return unchecked(NAME, QUESTION, reason)
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
