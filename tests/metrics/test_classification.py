import math

import pytest
import torch

from histoxplain import InputError
from histoxplain.metrics import (
    area_under_curve,
    balanced_accuracy,
    classification_report,
    confusion_matrix,
    expected_calibration_error,
    fit_temperature,
    one_against_rest,
)


def test_confusion_rows_are_true_classes():
    confusion = confusion_matrix(torch.tensor([0, 2, 2, 1]), torch.tensor([0, 0, 2, 2]), classes=3)
    assert confusion.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 1]]
    assert balanced_accuracy(confusion) == 0.5  # the class without images does not count


def test_one_against_rest_forgives_confusion_among_the_rest():
    confusion = torch.tensor([[10, 0, 0], [0, 0, 10], [0, 10, 0]])
    assert balanced_accuracy(confusion) == pytest.approx(1 / 3)
    assert one_against_rest(confusion, 0) == 1.0


def test_area_under_curve_counts_ordered_pairs():
    score = torch.tensor([0.1, 0.4, 0.35, 0.8])
    labels = torch.tensor([0, 0, 1, 1])
    probabilities = torch.stack([1 - score, score], dim=1)
    assert area_under_curve(probabilities, labels) == 0.75  # 3 of 4 pairs
    assert area_under_curve(probabilities, torch.zeros(4, dtype=torch.long)) is None


def test_calibration_error_by_hand():
    # two of two right at .9, one of two right at .7: (2 * .1 + 2 * .2) / 4
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.7, 0.3], [0.7, 0.3]])
    assert expected_calibration_error(probabilities, torch.tensor([0, 0, 0, 1])) == pytest.approx(0.15)
    assert expected_calibration_error(torch.eye(2), torch.tensor([0, 1])) == 0.0
    assert expected_calibration_error(torch.eye(2), torch.tensor([1, 0])) == 1.0


@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_temperature_undoes_a_scale(scale):
    calm = torch.tensor([[math.log(3.0), 0.0]] * 4)  # .75, and right three times in four
    assert fit_temperature(scale * calm, torch.tensor([0, 0, 0, 1])) == pytest.approx(scale, rel=1e-4)


def test_temperature_stays_in_bounds_where_all_are_right():
    assert fit_temperature(torch.eye(3), torch.arange(3)) == pytest.approx(math.exp(-3), rel=1e-3)


def test_report():
    logits = torch.log(torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]]))
    report = classification_report(logits, torch.tensor([0, 1, 2]), ("a", "b", "c"))
    assert report["images"] == 3
    assert report["balanced_accuracy"] == pytest.approx(2 / 3)
    assert report["nll"] == pytest.approx(-(2 * math.log(0.8) + math.log(0.1)) / 3)
    assert report["one_against_rest"] == {"a": 1.0, "b": 0.75, "c": 0.5}
    with pytest.raises(InputError, match="at least one image"):
        classification_report(logits[:0], torch.empty(0, dtype=torch.long), ("a", "b", "c"))
