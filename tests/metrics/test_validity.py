import pytest
import torch

from histoxplain import InputError
from histoxplain.metrics import is_valid, validity


def test_valid_needs_the_class_and_the_threshold():
    probabilities = torch.tensor([[0.1, 0.9], [0.49, 0.51], [0.7, 0.3]])
    assert is_valid(probabilities, 1).tolist() == [True, True, False]
    assert is_valid(probabilities, 1, threshold=0.9).tolist() == [True, False, False]
    assert is_valid(probabilities, torch.tensor([1, 0, 0])).tolist() == [True, False, True]
    assert validity(probabilities, 1, threshold=0.6) == pytest.approx(1 / 3)


def test_low_thresholds_do_not_make_the_second_class_valid():
    assert is_valid(torch.tensor([[0.4, 0.35, 0.25]]), 1, threshold=0.3).tolist() == [False]


def test_nothing_is_not_a_share():
    with pytest.raises(InputError, match="at least one image"):
        validity(torch.empty(0, 2), 1)
