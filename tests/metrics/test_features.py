import pytest
import torch

from histoxplain import InputError
from histoxplain.metrics import extract_features, feature_net


@pytest.fixture
def images(rng):
    coarse = torch.rand(3, 3, 8, 8, generator=rng) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=32, mode="bilinear")


def test_features_do_not_depend_on_the_batch(images):
    whole = extract_features(images, batch=3)
    assert whole.shape == (3, 1280)
    assert (whole >= 0).all()
    assert torch.allclose(whole, extract_features(iter(images.split(1))), atol=1e-4)
    assert torch.allclose(extract_features(images[:, :1]), extract_features(images[:, :1].expand(-1, 3, -1, -1)))


def test_features_of_nothing_and_of_an_unknown_name():
    with pytest.raises(InputError, match="at least one image"):
        extract_features(torch.empty(0, 3, 8, 8))
    with pytest.raises(InputError, match="one of efficientnet_lite0-imagenet"):
        feature_net("inception")
