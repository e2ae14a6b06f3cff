"""A classifier whose opinion is part of a training's objective."""

from __future__ import annotations

import torch
from torch import nn

from histoxplain._checks import check


def check_teaches(classifier: nn.Module, resolution: int, way_out: str) -> None:
    """A classifier must have gradients for its opinion to train anything; a black box would be passed over in silence.

    Args:
        classifier: with `channels`.
        resolution: of the images it is tried on.
        way_out: how to train without, for the message.

    Raises:
        InputError: if none pass through it.
    """
    x = torch.zeros(2, classifier.channels, resolution, resolution, requires_grad=True)
    with torch.enable_grad():
        passes = classifier(x.to(next((p.device for p in classifier.parameters()), x.device))).requires_grad
    got = f"a black box ({type(classifier).__name__} without gradients)"
    check(passes, "classifier", "have gradients to train with", got, f"export it as TorchScript, or {way_out}")
