import pytest
import torch

from histoxplain.explain import draw, latent_space, one_hot, sample_z
from histoxplain.explain.latent_space import principal_axes
from histoxplain.models import Generator, GeneratorConfig


def test_class_means_are_those_of_the_mapping(bundle):
    space = latent_space(bundle)
    assert space.means[:, 0].tolist() == pytest.approx([-0.6, 0.0, 0.6], abs=0.02)
    assert space.means[:, 1:].abs().max() < 0.02
    assert space.scale.tolist() == pytest.approx([0.2] * 6, abs=0.01)  # w = z / 5 within a class


def test_measured_once(bundle):
    assert latent_space(bundle) is latent_space(bundle)


def test_whitening_goes_both_ways(bundle, rng):
    space = latent_space(bundle)
    step = torch.randn(4, 6, generator=rng)
    assert torch.allclose(space.unwhiten(space.whiten(step)), step, atol=1e-5)
    assert space.whiten(step).norm() == pytest.approx(5 * float(step.norm()), rel=0.05)


def test_anchors_are_of_the_class_and_the_nearest(bundle):
    space = latent_space(bundle)
    near = torch.tensor([0.6, 0.2, 0, 0, 0, 0])
    anchors = space.anchors(2, near, 5)
    assert (anchors[:, 0] > 0.25).all()
    distance = (anchors - near).norm(dim=1)
    assert distance.tolist() == sorted(distance.tolist())
    assert len(space.anchors(2, near, 1000)) < len(space.w) / 2


def test_drawing(bundle):
    z = sample_z(bundle.generator, 3, 0)
    ws = bundle.generator.mapping(z, one_hot([0, 1, 2], bundle.generator))
    assert torch.allclose(draw(bundle.generator, ws)[:, :, 0, 0], ws[:, 0, :3])
    assert draw(bundle.generator, ws[:0]).shape == (0, 3, 16, 16)


def test_noise_while_drawing():
    G = Generator(GeneratorConfig(resolution=8, channel_base=64, channel_max=8, z_dim=4, w_dim=4, mapping_layers=2))
    G.synthesis.start_noise(1.0, least=4)
    ws = torch.zeros(2, G.num_ws, G.w_dim)
    const, none = draw(G, ws), draw(G, ws, noise_mode="none")
    assert const[0].equal(const[1])
    assert const.equal(G.synthesis(ws))
    assert not const.equal(none)
    random = draw(G, ws, noise_mode="random")
    assert not random[0].equal(random[1])
    assert random.equal(draw(G, ws, noise_mode="random"))


def test_large_images_are_drawn_one_by_one():
    class Counting(torch.nn.Module):
        img_resolution, img_channels = 2048, 1

        def synthesis(self, ws, noise_mode):
            assert len(ws) == 1
            return ws.new_zeros(1, 1, 1, 1)

    assert len(draw(Counting(), torch.zeros(3, 1, 1))) == 3


def test_axes_of_a_rotated_cloud(rng):
    turn = torch.linalg.qr(torch.randn(3, 3, generator=rng)).Q
    cloud = torch.randn(20000, 3, generator=rng) * torch.tensor([3.0, 1.0, 0.5]) @ turn
    axes, scale = principal_axes(cloud)
    assert scale.tolist() == pytest.approx([3.0, 1.0, 0.5], rel=0.05)
    assert (axes @ turn.T).abs().diagonal().tolist() == pytest.approx([1, 1, 1], abs=0.01)
