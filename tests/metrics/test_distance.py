import copy
import json
import pickle

import pytest

from histoxplain import InputError
from histoxplain.metrics import Distance, FeatureSpace

INCEPTION = FeatureSpace("inception_v3-fid", "299 px, bilinear as in TensorFlow 1", 2048)
CLEAN = FeatureSpace("inception_v3-fid", "299 px, bicubic, antialiased", 2048)


def distance(value, space=INCEPTION, measure="Fréchet distance, covariance divided by N"):
    return Distance(value, measure, space, 500, 400)


def test_a_float_like_any_other():
    found = distance(3.25)
    assert (found + 1, round(found, 1), json.dumps(found), f"{found:.1f}") == (4.25, 3.2, "3.25", "3.2")
    assert found == 3.25
    assert found < 4
    assert found > distance(3.0)
    assert sorted([distance(2), distance(1)]) == [1, 2]
    assert found - distance(3.0) == 0.25


@pytest.mark.parametrize(
    "other",
    [distance(3.0, CLEAN), distance(3.0, measure="Fréchet distance, covariance divided by N - 1")],
    ids=["resize", "covariance"],
)
def test_unlike_ones_cannot_be_compared(other):
    for compare in ("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__", "__sub__"):
        with pytest.raises(InputError, match=r"`other` must be a Fréchet .* bilinear as in TensorFlow 1"):
            getattr(distance(3.0), compare)(other)
    with pytest.raises(InputError, match="measure both alike"):
        min(distance(1.0), other)


def test_what_must_be_said_with_it_survives_copies():
    for found in (distance(3.25), copy.deepcopy(distance(3.25)), pickle.loads(pickle.dumps(distance(3.25)))):
        assert found.describe() == {
            "value": 3.25,
            "measure": "Fréchet distance, covariance divided by N",
            "features": "inception_v3-fid",
            "resize": "299 px, bilinear as in TensorFlow 1",
            "real_images": 500,
            "fake_images": 400,
        }
