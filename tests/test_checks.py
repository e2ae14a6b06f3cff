from __future__ import annotations

import re

import pytest
import torch

from histoxplain import InputError
from histoxplain._checks import (
    check,
    check_at_least,
    check_between,
    check_exists,
    check_images,
    check_one_of,
    check_power_of_two,
)


def refused(message: str):
    return pytest.raises(InputError, match="^" + re.escape(message) + "$")


def test_an_input_error_is_a_value_error():
    assert issubclass(InputError, ValueError)


def test_check_says_name_rule_value_and_way_out():
    check(True, "count", "be at least 1", 0)
    with refused("`count` must be at least 1, got 0."):
        check(False, "count", "be at least 1", 0)
    with refused("`count` must be at least 1, got 0; ask for more."):
        check(False, "count", "be at least 1", 0, "ask for more")


def test_check_one_of_names_the_nearest():
    check_one_of("target", "benign", iter(["benign", "squamous"]))
    with refused("`target` must be one of benign, squamous, got 'bening'; nearest valid is 'benign'."):
        check_one_of("target", "bening", iter(["benign", "squamous"]))
    with refused("`target` must be one of benign, squamous, got 'xyz'."):
        check_one_of("target", "xyz", ["benign", "squamous"])


@pytest.mark.parametrize(
    ("value", "near"),
    [(0, "is 4"), (3, "is 4"), (5, "are 4 and 8"), (96, "are 64 and 128"), (-8, "is 4")],
)
def test_check_power_of_two_names_the_nearest(value, near):
    with refused(f"`resolution` must be a power of two of at least 4, got {value}; nearest valid {near}."):
        check_power_of_two("resolution", value)


@pytest.mark.parametrize("value", [4, 8, 1024])
def test_check_power_of_two_accepts(value):
    check_power_of_two("resolution", value)


def test_check_bounds():
    check_at_least("count", 1, 1)
    check_between("threshold", 0.5, 0, 1)
    with refused("`count` must be at least 1, got 0; nearest valid is 1."):
        check_at_least("count", 0, 1)
    with refused("`threshold` must lie in [0, 1], got 1.5; nearest valid is 1."):
        check_between("threshold", 1.5, 0, 1)
    with refused("`threshold` must lie in [0, 1], got nan; nearest valid is nan."):
        check_between("threshold", float("nan"), 0, 1)


def test_check_exists_finds_the_misspelt(tmp_path):
    (tmp_path / "tissue.png").touch()
    assert check_exists("image", str(tmp_path / "tissue.png")) == tmp_path / "tissue.png"
    with refused(
        f"`image` must be an existing file or folder, got {tmp_path / 'tisue.png'}; "
        f"did you mean {tmp_path / 'tissue.png'}?"
    ):
        check_exists("image", tmp_path / "tisue.png")
    with pytest.raises(InputError, match=r"check the spelling and the folder you are in\.$"):
        check_exists("image", tmp_path / "nowhere" / "x.png")


def test_check_images():
    x = torch.zeros(2, 3, 8, 8)
    check_images("x", x)
    check_images("x", x, channels=3)
    with refused("`x` must have shape (N, C, H, W), got (3, 8, 8); add a batch axis with `x[None]`."):
        check_images("x", x[0])
    with refused("`x` must be floating point in [-1, 1], got torch.uint8; use `hx.data.to_unit` on uint8 images."):
        check_images("x", x.byte())
    with refused("`x` must have 1 channels, got (2, 3, 8, 8); convert between grey and RGB first."):
        check_images("x", x, channels=1)
