import torch

from histoxplain.models import Discriminator, DiscriminatorConfig, Generator, GeneratorConfig
from histoxplain.ops import downsample2d, setup_filter, upsample2d
from histoxplain.train.grow import grow_discriminator, grow_generator, transfer

SIZES = {"c_dim": 3, "channel_base": 512, "channel_max": 16}
LATENT = {"z_dim": 8, "w_dim": 8, "mapping_layers": 2}
FIR = setup_filter([1, 3, 3, 1])


@torch.no_grad()
def test_a_grown_generator_makes_the_same_images_enlarged():
    small = Generator(GeneratorConfig(resolution=16, **SIZES, **LATENT))
    large = Generator(GeneratorConfig(resolution=32, **SIZES, **LATENT))
    fresh = grow_generator(large, small)
    z, c = torch.randn(3, 8), torch.eye(3)
    torch.testing.assert_close(large(z, c), upsample2d(small(z, c), FIR))
    assert all(name.startswith("synthesis.b32.") for name in fresh)


@torch.no_grad()
def test_a_grown_discriminator_judges_the_shrunken_image():
    small = Discriminator(DiscriminatorConfig(resolution=16, **SIZES))
    large = Discriminator(DiscriminatorConfig(resolution=32, **SIZES))
    small.blocks[0].fromrgb.bias.normal_()
    fresh = grow_discriminator(large, small)
    x, c = torch.randn(4, 3, 32, 32), torch.eye(3)[[0, 1, 2, 0]]
    inside = torch.nn.functional.pad(x[:, :, 4:-4, 4:-4], (4, 4, 4, 4))  # borders are filtered twice
    torch.testing.assert_close(large(inside, c), small(downsample2d(inside, FIR), c), atol=1e-3, rtol=1e-3)
    assert all(name.startswith("b32.") for name in fresh)


def test_transfer_names_what_has_no_partner():
    source, into = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2, bias=True)
    into.extra = torch.nn.Parameter(torch.zeros(1))
    assert transfer(into, source) == ["extra"]
    assert torch.equal(into.weight, source.weight)
