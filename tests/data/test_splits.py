from collections import Counter

import numpy as np
import pytest

from histoxplain import InputError
from histoxplain.data import split_groups


def random_cases(seed, mixed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 9, 120)
    groups = np.repeat(np.arange(120), sizes)
    labels = rng.integers(0, 3, len(groups)) if mixed else np.repeat(rng.integers(0, 3, 120), sizes)
    return labels.tolist(), [f"g{g}" for g in groups]


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_whole_and_classes_are_shared_alike(seed, mixed):
    labels, groups = random_cases(seed, mixed)
    splits = split_groups(labels, groups, (0.7, 0.15, 0.15), seed)
    assert max(Counter(g for g, _ in set(zip(groups, splits))).values()) == 1
    total, counts = Counter(labels), Counter(zip(labels, splits))
    for label in total:
        for split, share in {"train": 0.7, "validation": 0.15, "test": 0.15}.items():
            assert abs(counts[label, split] - share * total[label]) <= 8  # the largest group


def test_depends_on_seed_but_not_on_order():
    labels, groups = random_cases(0, False)
    splits = split_groups(labels, groups, seed=0)
    assert splits == split_groups(labels, groups, seed=0)
    assert splits != split_groups(labels, groups, seed=1)
    turned = split_groups(labels[::-1], groups[::-1], seed=0)
    assert turned[::-1] == splits


def test_without_groups_each_case_stands_alone():
    counts = Counter(split_groups([0] * 100, [None] * 100, (0.5, 0.25, 0.25)))
    assert counts == {"train": 50, "validation": 25, "test": 25}


def test_a_share_of_zero_gets_nothing():
    assert set(split_groups([0] * 20, [None] * 20, (0.8, 0, 0.2))) == {"train", "test"}


def test_one_giant_patient_goes_to_train():
    splits = split_groups([0] * 100, ["giant"] * 80 + [f"p{i}" for i in range(20)])
    assert set(splits[:80]) == {"train"}
    assert Counter(splits[80:])["test"] >= 8


def test_nothing_to_split():
    assert split_groups([], []) == []


@pytest.mark.parametrize("fractions", [(1, 0), (-1, 1, 1), (0, 0, 0), (float("nan"), 1, 1)])
def test_refuses_odd_fractions(fractions):
    with pytest.raises(InputError, match="fractions"):
        split_groups([0], [None], fractions)
