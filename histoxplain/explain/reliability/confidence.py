"""How sure is the classifier of the original? Its calibrated probability, and an interval over several opinions.

The opinions are those of several classifiers (Lakshminarayanan et al., 2017), of one with its dropout left on (Gal &
Ghahramani, *Dropout as a Bayesian Approximation*, ICML 2016), or of one that looks at the image in several ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from histoxplain._checks import check, check_one_of
from histoxplain.explain.reliability.check import Check
from histoxplain.explain.reliability.opinions import probabilities_of, shifted
from histoxplain.models.uncertainty import Uncertainty, dropout_opinions, summarise

HOW = ("auto", "ensemble", "dropout", "views")
NAME, QUESTION = "sure", "How sure is the classifier of the original?"
PASSES = 20
"""Opinions of a classifier with dropout."""
AGREE = 0.9
"""Share of the opinions that have to name the same class."""
LEVEL = 0.9
"""Share of the opinions inside the interval, where there are many; of a few classifiers it holds all."""


def has_dropout(classifier: Any) -> bool:
    """Whether a classifier has a dropout layer that ever drops anything."""
    parts = classifier.modules() if isinstance(classifier, nn.Module) else ()
    return any("Dropout" in type(part).__name__ and getattr(part, "p", 0) > 0 for part in parts)


def way_of(classifier: Any, others: Sequence[Any], how: str = "auto") -> str:
    """Where opinions come from: "ensemble" where there are other classifiers, else "dropout" where there is any, else
    "views".

    Raises:
        InputError: if `how` is unknown.
    """
    check_one_of("how", how, HOW)
    if how != "auto":
        return how
    several = len(others) > 0 or len(getattr(classifier, "members", ())) > 1
    return "ensemble" if several else "dropout" if has_dropout(classifier) else "views"


@torch.no_grad()
def opinions_of(
    classifier: Any, x: Tensor, others: Sequence[Any] = (), how: str = "auto", seed: int = 0
) -> Uncertainty:
    """Several opinions about images, and what they say together.

    Args:
        classifier: the one that is explained.
        x: images, `(N, C, H, W)`.
        others: further classifiers of the same classes.
        how: see `way_of`.
        seed: of the dropout.

    Returns:
        Their probabilities and the interval that holds all of an ensemble or of the views, or `LEVEL` of dropout's.

    Raises:
        InputError: if there is nothing to ask in that way.
    """
    way = way_of(classifier, others, how)
    if way == "dropout":
        return summarise(dropout_opinions(classifier, x, PASSES, seed), LEVEL, "dropout")
    if way == "views":
        looks = [x, x.flip(-1), *shifted(x).values()]
        return summarise(torch.stack([probabilities_of(classifier, look) for look in looks]), 1.0, "views")
    members = [*getattr(classifier, "members", [classifier]), *others]
    check(len(members) > 1, "classifiers", "name at least one other classifier", "none", "or take how='auto'")
    return summarise(torch.stack([probabilities_of(member, x) for member in members]), 1.0, "ensemble")


def check_sure(
    before: Tensor,
    classifier: Any,
    x: Tensor,
    others: Sequence[Any] = (),
    how: str = "auto",
    seed: int = 0,
    second: Tensor | None = None,
) -> Check:
    """How sure the classifier is of an image, and whether all opinions name the class that it names.

    Args:
        before: its probabilities, `(K,)`.
        classifier: the one that is explained.
        x: the image, `(C, H, W)`, where the classifier computes.
        others: further classifiers of the same classes.
        how: see `way_of`.
        seed: of the dropout.
        second: probabilities that a second classifier was already heard to give, `(K,)`; with it no others are asked.
    """
    if second is not None and not others and how in ("auto", "ensemble"):
        found = summarise(torch.stack([before, second])[:, None], 1.0, "ensemble")
    else:
        found = opinions_of(classifier, x[None], others, how, seed)
    source = int(before.argmax())
    name, p = classifier.class_names[source], float(before[source])
    low, high = (float(end[0, source]) for end in (found.low, found.high))
    same = (found.opinions[:, 0].argmax(1) == source).double().mean().item()
    count = len(found.opinions)
    whose = {
        "ensemble": f"over {count} classifiers",
        "dropout": f"in {LEVEL:.0%} of {count} passes with dropout",
        "views": f"over {count} views of the image",
    }[found.source]
    figures = {
        "class": name,
        "probability": round(p, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "source": found.source,
        "opinions": count,
        "agreement": round(same, 4),
        "temperature": temperature_of(classifier),
    }
    words = f"{name} {p:.0%}; {low:.0%} to {high:.0%} {whose}"
    apart = f"{round(count * (1 - same))} of {count} opinions about the original are not {name}"
    return Check(NAME, QUESTION, words, (apart,) if same < AGREE else (), figures=figures)


def temperature_of(classifier: Any) -> float | None:
    """What the logits are divided by so that probabilities are calibrated; None where the classifier does not say."""
    known = getattr(classifier, "temperature", None)
    return round(float(known), 4) if known is not None else None
