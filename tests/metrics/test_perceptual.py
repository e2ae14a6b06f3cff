import pytest
import torch

from histoxplain import InputError
from histoxplain.metrics import perceptual_distance, perceptual_net


@pytest.fixture
def images(rng):
    coarse = torch.rand(3, 3, 8, 8, generator=rng) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=32, mode="bilinear")


def test_distance_is_a_symmetric_premetric(images):
    there = perceptual_distance(images[:2], images[1:])
    assert torch.allclose(there, perceptual_distance(images[1:], images[:2]))
    assert torch.equal(perceptual_distance(images, images), torch.zeros(3))
    assert ((there > 0) & (there < 4)).all()


def test_distance_grows_with_noise(images, rng):
    noise = torch.randn(images.shape, generator=rng)
    near, far = (perceptual_distance(images, images + s * noise).mean() for s in (0.02, 0.4))
    assert near < 0.5 * far


def test_distance_has_gradients_and_reuses_embeddings(images):
    net = perceptual_net()
    kept = net.embed(images[:1])
    x = images[1:].clone().requires_grad_()
    distance = net.between(net.embed(x), kept)
    assert distance.shape == (2,)
    assert torch.allclose(distance[0], perceptual_distance(images[1:2], images[:1])[0], atol=1e-5)
    distance.sum().backward()
    assert x.grad.abs().sum() > 0


def test_shapes_must_agree(images):
    with pytest.raises(InputError, match="shape of `a`"):
        perceptual_distance(images, images[:2])
