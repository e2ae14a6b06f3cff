from dataclasses import replace

import pytest

from histoxplain._checks import InputError
from histoxplain.evaluation import Evaluation, comparison_table
from histoxplain.evaluation.tables import names_of
from histoxplain.metrics import Interval


@pytest.fixture
def latent():
    figures = {"flip_rate": Interval(0.97, 0.9, 1.0), "l1": Interval(0.1234, 0.1, 0.15)}
    known = {"data": "lung.lmdb", "bundle": "lung", "images": 30, "count": 1, "threshold": 0.5, "confidence": 0.95}
    return Evaluation(method="latent", figures=figures, **known)


def test_methods_are_columns(latent):
    pixels = replace(latent, method="pixels", figures={"flip_rate": Interval(1.0, 0.88, 1.0)}, images=20)
    lines = [line.split("  ") for line in comparison_table([latent, pixels]).splitlines()]
    rows = {row[0]: [cell.strip() for cell in row[1:] if cell] for row in lines}
    assert rows[""] == ["latent", "pixels"]
    assert rows["images"] == ["30", "20"]
    assert rows["classifier flips (saved image) (higher is better)"] == ["0.97 (0.90 to 1.00)", "1.00 (0.88 to 1.00)"]
    assert rows["change of pixels, L1 (lower is better)"] == ["0.123 (0.1 to 0.15)", "-"]
    with pytest.raises(InputError, match="at least one"):
        comparison_table([])


def test_equal_methods_are_told_apart(latent):
    assert names_of([latent, replace(latent, bundle="liver")]) == ["latent, lung", "latent, liver"]
    assert names_of([latent, replace(latent, data="generated")]) == ["latent, lung.lmdb", "latent, generated"]
    assert names_of([latent, latent]) == ["latent 1", "latent 2"]
