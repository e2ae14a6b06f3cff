"""Can the generator draw the image? How far its reconstruction is from it, among other images of the kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from histoxplain.explain.reliability.check import Check, unchecked
from histoxplain.explain.reliability.percentile import RARE, in_words, place

if TYPE_CHECKING:
    from histoxplain.explain import Explanation
    from histoxplain.models import Reference

NAME, QUESTION = "drawable", "Can the generator redraw the image?"


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
        reference: of the bundle; without it the error is told, but not how it compares.
        drawn: the generator drew the original itself.
    """
    if explanation.reconstruction is None:
        if drawn:
            return Check(NAME, QUESTION, "yes: it drew it")
        return unchecked(NAME, QUESTION, "this method starts from the image itself")
    error = float(reconstruction_error(explanation.original, explanation.reconstruction))
    share = f"off by {100 * error:.1f} % of the full range on average"
    if "start" not in explanation.latents:
        return unchecked(NAME, QUESTION, f"{share}, but not redrawn as the reference images were")
    if reference is None or not len(reference.errors):
        return unchecked(NAME, QUESTION, f"{share}, but the bundle has no reference images to compare with")
    figures = place(error, reference.errors) | {"inversion": reference.inversion}
    words = in_words(figures, "more")
    poor = figures["percentile"] > RARE
    doubts = (f"the generator cannot redraw it well ({share}, {words})",) if poor else ()
    return Check(NAME, QUESTION, f"{'no' if poor else 'yes'}: {share}, {words}", doubts, figures=figures)
