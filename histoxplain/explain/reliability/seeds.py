"""Does chance decide? The same search begun from other seeds, and how alike its answers are. Costs a search a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from histoxplain._checks import check
from histoxplain.explain.reliability.check import Check
from histoxplain.explain.reliability.likeness import likeness

if TYPE_CHECKING:
    from histoxplain.explain import Explainer, Explanation

NAME, QUESTION = "seeds", "Does another seed lead to the same answer?"
ALIKE = 0.5
"""Correlation of two maps of change from which they count as the same answer."""


def other_seeds(explainer: Explainer, explanation: Explanation, seeds: Sequence[int]) -> list[Explanation]:
    """The first counterfactual of the same image and target, by searches from other seeds."""
    e, was = explanation, explainer.assess
    explainer.assess = False
    try:
        if e.reconstruction is None and "start" in e.latents:  # a generated image
            start = e.latents["start"][None]
            return [explainer.explain_latents(start, e.target_class, 1, seed)[0] for seed in seeds]
        return [explainer.explain(e.original, e.target_class, 1, seed)[0] for seed in seeds]
    finally:
        explainer.assess = was


def check_seeds(explanation: Explanation, explainer: Explainer, seeds: Sequence[int]) -> Check:
    """Whether searches from other seeds convince the classifier too, by a change like the first one.

    Args:
        explanation: the record.
        explainer: made it.
        seeds: others than the one that it was made with; at least one.

    Raises:
        InputError: if there is no other seed.
    """
    own = explanation.settings.get("seed")
    check(len(seeds) > 0 and own not in seeds, "seeds", f"be other seeds than {own}", list(seeds), "name one or more")
    others = other_seeds(explainer, explanation, seeds)
    reached = [bool(len(other) and other.valid[0]) for other in others]
    both = [other for other in others if len(other) and len(explanation)]
    alike = [likeness(explanation.change[0], other.change[0]) for other in both]
    figures = {"seeds": list(seeds), "reached": reached, "likeness": alike}
    mean = sum(alike) / len(alike) if alike else None
    words = f"{sum(reached)} of {len(seeds)} others reach the target"
    words += f"; their change is {mean:.0%} like this one" if mean is not None and mean > 0 else ""
    doubts = []
    if not all(reached):
        doubts.append(f"{len(reached) - sum(reached)} of {len(seeds)} searches from other seeds found no change")
    if mean is not None and mean < ALIKE:
        doubts.append("searches from other seeds change something else, so this is one answer of several")
    return Check(NAME, QUESTION, words, tuple(doubts), figures=figures)
