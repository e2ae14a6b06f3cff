import pytest

from histoxplain import InputError
from histoxplain.data.volumes import match_labels

LABELS = {1: "spleen", 2: "kidney_right", 3: "kidney_left", 5: "liver", 23: "kidney_cyst_left"}


def test_names_numbers_and_sides():
    assert match_labels(["kidney", "Liver"], LABELS) == (2, 3, 5)
    assert match_labels(["kidney left"], LABELS) == (3,)
    assert match_labels(["kidney_cyst"], LABELS) == (23,)
    assert match_labels(["7", "liver"], LABELS) == (5, 7)
    assert match_labels([], LABELS) == ()


def test_odd_names():
    with pytest.raises(InputError, match="nearest valid is 'kidney'"):
        match_labels(["kidny"], LABELS)
    with pytest.raises(InputError, match="be a number where the mask names no labels, got 'liver'"):
        match_labels(["liver"], {})
