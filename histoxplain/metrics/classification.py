"""How good a classifier is: balanced accuracy, AUC, confusion, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from histoxplain._checks import check


def confusion_matrix(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """How often each class (row) was called each class (column).

    Args:
        predicted, labels: class indices `(N,)`.
        classes: how many classes there are.

    Returns:
        Counts `(classes, classes)`, int64.

    Example:
        >>> confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), classes=2).tolist()
        [[1, 1], [0, 1]]
    """
    return torch.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def balanced_accuracy(confusion: Tensor) -> float:
    """Mean over classes of the share recognised, in [0, 1]; classes without images do not count.

    Example:
        >>> balanced_accuracy(torch.tensor([[8, 2], [0, 90]]))
        0.9
    """
    rows = confusion.double()
    recalls = rows.diagonal() / rows.sum(dim=1)
    return recalls[rows.sum(dim=1) > 0].mean().item()


def one_against_rest(confusion: Tensor, index: int) -> float:
    """Balanced accuracy, in [0, 1], of the question "is it class `index`?": (sensitivity + specificity) / 2.

    Example:
        >>> one_against_rest(torch.tensor([[9, 1, 0], [0, 5, 5], [0, 5, 5]]), index=0)
        0.95
    """
    mine = torch.arange(len(confusion)) == index
    merged = torch.stack([confusion[mine].sum(dim=0), confusion[~mine].sum(dim=0)])
    return balanced_accuracy(torch.stack([merged[:, mine].sum(dim=1), merged[:, ~mine].sum(dim=1)], dim=1))


def area_under_curve(probabilities: Tensor, labels: Tensor) -> float | None:
    """Area under the ROC curve, in [0, 1]; for three or more classes, the mean over each against the rest.

    None if some class has no image (the curve is undefined then).

    Example:
        >>> area_under_curve(torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.4, 0.6]]), torch.tensor([0, 1, 1]))
        1.0
    """
    from sklearn.metrics import roc_auc_score

    classes = probabilities.shape[1]
    if len(labels.unique()) < classes:
        return None
    areas = [roc_auc_score((labels == k).numpy(), probabilities[:, k].double().numpy()) for k in range(classes)]
    return float(sum(areas) / classes)


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """How far confidence is from accuracy (Guo et al., 2017): sum over bins of n_b/N * |accuracy_b - confidence_b|.

    Args:
        probabilities: `(N, K)`, rows sum to 1.
        labels: class indices `(N,)`.
        bins: equal parts of [0, 1] into which the confidence max_k p_k falls.

    Returns:
        A number in [0, 1]; 0 is perfect.

    Example:
        >>> expected_calibration_error(torch.tensor([[0.75, 0.25]] * 4), torch.tensor([0, 0, 0, 1]))
        0.0
    """
    confidence, predicted = probabilities.double().max(dim=1)
    right = (predicted == labels).double()
    bin_of = (confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)
    gaps = torch.zeros(bins, dtype=torch.double).index_add_(0, bin_of, right - confidence)
    return (gaps.abs().sum() / len(labels)).item()


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature T that makes softmax(logits / T) most likely (Guo et al., 2017); it changes no decision.

    Args:
        logits: `(N, K)`, of images that were not trained on.
        labels: class indices `(N,)`.

    Returns:
        T in [0.05, 20].

    Example:
        >>> logits = torch.tensor([[1.0, 0.0]] * 4)                   # says .73, is right three times in four
        >>> round(fit_temperature(logits, torch.tensor([0, 0, 0, 1])), 3)     # 1 / T = log 3
        0.91
    """
    from scipy.optimize import minimize_scalar

    logits = logits.double()

    def loss(log_temperature: float) -> float:
        return F.cross_entropy(logits / torch.tensor(log_temperature, dtype=torch.double).exp(), labels).item()

    return float(
        torch.tensor(minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded", options={"xatol": 1e-6}).x).exp()
    )


def classification_report(logits: Tensor, labels: Tensor, class_names: Sequence[str]) -> dict[str, Any]:
    """All figures of a split, ready for JSON.

    Args:
        logits: `(N, K)`.
        labels: class indices `(N,)`.
        class_names: the K names.

    Returns:
        `images`, `balanced_accuracy`, `accuracy`, `auc`, `ece`, `nll`, `confusion` (rows are true classes, columns
        predictions) and `one_against_rest` (class name -> balanced accuracy).

    Raises:
        InputError: if there is no image.
    """
    check(len(labels) > 0, "labels", "hold at least one image", 0, "the split is empty; use more data")
    logits = logits.double()
    probabilities = logits.softmax(dim=1)
    confusion = confusion_matrix(logits.argmax(dim=1), labels, len(class_names))
    return {
        "images": len(labels),
        "balanced_accuracy": balanced_accuracy(confusion),
        "accuracy": (confusion.diagonal().sum() / confusion.sum()).item(),
        "auc": area_under_curve(probabilities, labels),
        "ece": expected_calibration_error(probabilities, labels),
        "nll": F.cross_entropy(logits, labels).item(),
        "class_names": list(class_names),
        "confusion": confusion.tolist(),
        "one_against_rest": {name: one_against_rest(confusion, k) for k, name in enumerate(class_names)},
    }
