"""Can the generator draw the image? How far its reconstruction is from it, among other images of the kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from histoxplain.explain.reliability.check import Check, unchecked
from histoxplain.explain.reliability.familiarity import is_plain
from histoxplain.explain.reliability.likeness import likeness
from histoxplain.explain.reliability.percentile import RARE, in_words, place

if TYPE_CHECKING:
    from histoxplain.explain import Explanation
    from histoxplain.models import Reference

NAME, QUESTION = "drawable", "Does the generator redraw the image well?"
LIKE = 0.5
"""Correlation of brightness below which a reconstruction shows another picture: it shares less than a quarter."""


def reconstruction_error(original: Tensor, reconstruction: Tensor) -> Tensor:
    """Mean absolute difference of images `(..., C, H, W)`, in parts of the full range: `(...)`.

    Example:
        >>> import torch
        >>> reconstruction_error(torch.zeros(3, 8, 8), torch.ones(3, 8, 8)).item()
        0.5
    """
    return (original - reconstruction).abs().mean((-3, -2, -1)) / 2


def check_drawable(explanation: Explanation, reference: Reference | None, drawn: bool = False) -> Check:
    """Whether the image lies within the generator's range, told by the reconstruction that the changes start from.

    Args:
        explanation: the record.
        reference: of the bundle; without it only a reconstruction that is hardly like the image is told.
        drawn: the generator drew the original itself.
    """
    if explanation.reconstruction is None:
        if drawn:
            return Check(NAME, QUESTION, "yes: it drew it")
        return unchecked(NAME, QUESTION, "this method starts from the image itself")
    doubts, words, figures = _likeness(explanation)
    if "start" not in explanation.latents:
        words += ["which is not how the reference images were redrawn"]
    elif reference is None or not len(reference.errors):
        words += ["the bundle has no reference images to compare with"]
    else:
        figures |= place(figures["error"], reference.errors) | {"inversion": reference.inversion}
        words[0] += f", {in_words(figures, 'more')}"
        if figures["percentile"] > RARE:
            doubts += [f"the generator cannot redraw it as well as others of its kind ({words[0]})"]
    if "percentile" not in figures and not doubts:
        return unchecked(NAME, QUESTION, "; ".join(words))
    return Check(NAME, QUESTION, f"{'no' if doubts else 'yes'}: {'; '.join(words)}", tuple(doubts), figures=figures)


def _likeness(e: Explanation) -> tuple[list[str], list[str], dict[str, Any]]:
    """What the reconstruction tells by itself: doubts, words, figures."""
    error = float(reconstruction_error(e.original, e.reconstruction))
    same = likeness(e.original.mean(0), e.reconstruction.mean(0))
    agrees = e.settings.get("reconstruction_agrees")
    words, doubts = [f"off by {100 * error:.1f} % of the full range on average"], []
    if not is_plain(e.original):
        words.append(f"brightness correlates {same:.2f}")
        if same < LIKE:
            doubts.append(f"the redrawn image, which the changes start from, hardly resembles it ({words[1]})")
    if agrees is False:
        doubts.append("the classifier takes the redrawn image for another class")
    return doubts, words, {"error": round(error, 6), "correlation": round(same, 4), "agrees": agrees}
