"""What a classifier says of whole splits: calibrated on the validation split, measured on the test split, once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from histoxplain._ranks import spread
from histoxplain.metrics.classification import classification_report, fit_temperature
from histoxplain.models.classifier import Classifier
from histoxplain.models.vote import Vote
from histoxplain.train.pixels import LabelledPixels


@torch.inference_mode()
def predict_logits(
    classifier: Classifier | Vote,
    pixels: LabelledPixels,
    batch: int = 32,
    precision: torch.dtype = torch.float32,
    together: bool = False,
) -> tuple[Tensor, Tensor]:
    """Logits `(N, K)` of a whole split, float32 on the CPU, and its labels `(N,)`.

    Args:
        classifier: the network.
        pixels: the split.
        batch: images at once.
        precision: of the network's arithmetic.
        together: every process calls this and takes its share of the batches; all get all the logits.
    """
    device = next(classifier.parameters()).device

    def judge(places: Tensor) -> Tensor:
        x = pixels.batch(places)[0].to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            return classifier(x).cpu()

    batches = torch.arange(len(pixels)).split(batch)
    found = spread(judge, batches, everyone=True) if together else map(judge, batches)
    return torch.cat([torch.empty(0, len(classifier.class_names)), *found]), pixels.labels


def calibrate(classifier: Classifier | Vote, splits: dict[str, LabelledPixels], batch: int = 32) -> dict[str, Any]:
    """Fit the temperature on the validation split, then look at the test split, once.

    Args:
        classifier: its `temperature` is set.
        splits: "validation" and "test".
        batch: images at once.

    Returns:
        `temperature`, and the reports `validation` and `test`; None for a test split without images.
    """
    classifier.temperature.fill_(1.0)
    logits, labels = predict_logits(classifier, splits["validation"], batch)
    temperature = fit_temperature(logits, labels)
    classifier.temperature.fill_(temperature)
    names = classifier.class_names
    test = None
    if len(splits["test"]):
        test = classification_report(*predict_logits(classifier, splits["test"], batch), names)
    validation = classification_report(logits / temperature, labels, names)
    return {"temperature": temperature, "validation": validation, "test": test}
