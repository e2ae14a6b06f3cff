import pytest
import torch

from histoxplain import InputError
from histoxplain.metrics import l1_distance, sparsity


def test_proximity_by_hand():
    a = torch.zeros(2, 3, 2, 2)
    b = a.clone()
    b[0, :, 0, 0] = 2.0  # one pixel of four, all channels
    b[1, 0] = 0.05  # all pixels, unnoticeably, one channel of three
    assert l1_distance(a, b).tolist() == pytest.approx([0.5, 0.05 / 3])
    assert sparsity(a, b).tolist() == [0.75, 1.0]
    assert sparsity(a, b, tolerance=0.01).tolist() == [0.75, 0.0]
    for metric in (l1_distance, sparsity):
        with pytest.raises(InputError, match="shape of `a`"):
            metric(a, b[:1])
