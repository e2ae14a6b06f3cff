import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.explain import invert


def test_finds_the_colour_and_keeps_the_opinion(bundle, colour):
    x = torch.stack([colour(0.5, 0.3, -0.2), colour(-0.45, 0.0, 0.4)])
    found = invert(bundle, x, steps=100)
    assert found.ws.shape == (2, 6, 6)
    assert (found.images - x).abs().max() < 0.05
    assert found.agrees.all()
    assert found.l1.tolist() == pytest.approx((found.images - x).abs().mean((1, 2, 3)).div(2).tolist())


def test_the_opinion_counts_at_the_boundary(bundle, colour):
    """Red at which the classifier has just changed its mind: the reconstruction must be on the same side."""
    x = torch.stack([colour(0.26), colour(0.24)])
    assert bundle.classifier(x).argmax(1).tolist() == [2, 1]
    assert invert(bundle, x, steps=60).agrees.all()


@pytest.mark.parametrize("x", [torch.zeros(3, 16, 16), torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 16, 16)])
def test_images_of_another_size(bundle, x):
    with pytest.raises(InputError, match="images"):
        invert(bundle, x)
