import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from histoxplain import InputError
from histoxplain.metrics import counterfactual_validity, segmentation_scores


def test_scikit_learn_says_the_same(rng):
    found, truth = (torch.rand(6, 9, 7, generator=rng) < p for p in (0.4, 0.6))
    scores = segmentation_scores(found, truth)
    theirs = {"iou": jaccard_score, "dice": f1_score, "precision": precision_score, "recall": recall_score}
    for name, score in theirs.items():
        expected = [score(b.flatten(), a.flatten()) for a, b in zip(found, truth)]
        assert scores[name].tolist() == pytest.approx(expected)


def test_empty_masks():
    none, some = torch.zeros(1, 2, 2, dtype=torch.bool), torch.ones(1, 2, 2, dtype=torch.bool)
    assert all(value.item() == 1 for value in segmentation_scores(none, none).values())
    for found, truth in ((none, some), (some, none)):
        assert all(value.item() == 0 for value in segmentation_scores(found, truth).values())


def test_masks_of_another_shape_are_refused():
    found = torch.zeros(2, 4, 3, dtype=torch.bool)
    with pytest.raises(InputError, match=r"`found` must have shape \(2, 3, 4\), got \(2, 4, 3\); .* the same way up"):
        segmentation_scores(found, found.transpose(1, 2))
    with pytest.raises(InputError, match="`truth` must be boolean"):
        segmentation_scores(found, found.float())


def test_validity_is_a_move_by_more_than_so_much():
    before, after = torch.tensor([1.0, 0.9, 0.1]), torch.tensor([0.25, 0.0, 0.95])
    assert counterfactual_validity(before, after).tolist() == [False, True, True]
    assert counterfactual_validity(before, after, least=0.7).tolist() == [True, True, True]
