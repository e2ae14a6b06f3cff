import pytest
import torch

from histoxplain import InputError
from histoxplain.data import Case


@pytest.mark.parametrize("image", [torch.zeros(1, 3, 8, 8), torch.zeros(3, 8, 8, dtype=torch.uint8)])
def test_refuses_batches_and_bytes(image):
    with pytest.raises(InputError):
        Case(image)


def test_mask_must_fit():
    with pytest.raises(InputError, match="mask"):
        Case(torch.zeros(3, 8, 8), mask=torch.zeros(4, 4, dtype=torch.bool))
