import pytest
import torch

from histoxplain.metrics import l1_distance, mean_pairwise_distance


def test_diversity_averages_over_pairs():
    x = torch.tensor([0.0, 1.0, 3.0]).reshape(3, 1, 1, 1).expand(3, 3, 2, 2)
    assert mean_pairwise_distance(x, l1_distance) == pytest.approx((1 + 3 + 2) / 3)
    assert mean_pairwise_distance(x[:1]) == 0.0
    assert mean_pairwise_distance(torch.zeros(2, 3, 32, 32)) == 0.0
