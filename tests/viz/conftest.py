import pytest
import torch

from histoxplain.explain import Explanation, change_map


@pytest.fixture
def explanation(rng):
    """Two counterfactuals, of which the first is valid."""
    images = torch.rand(2, 3, 16, 16, generator=rng) * 2 - 1
    original = torch.zeros(3, 16, 16)
    return Explanation(
        method="latent",
        case_id="tile-7",
        original=original,
        reconstruction=original + 0.1,
        counterfactuals=images,
        class_names=("benign", "squamous"),
        source_class=0,
        target_class=1,
        probabilities_before=torch.tensor([0.9, 0.1]),
        probabilities_after=torch.tensor([[0.25, 0.75], [0.6, 0.4]]),
        valid=torch.tensor([True, False]),
        change=change_map(original[None], images),
    )
