import pytest
import torch

from histoxplain import InputError
from histoxplain.models import Discriminator, DiscriminatorConfig
from histoxplain.train.config_gan import GANConfig
from histoxplain.train.networks import freeze, make_discriminator, make_generator

SMALL = {"channel_base": 64, "channel_max": 8, "z_dim": 8, "w_dim": 8}


def test_settings_reach_the_networks():
    config = GANConfig(**SMALL, architecture="orig", architecture_d="skip", mapping_layers=3)
    G, D = make_generator(config, 16, 1, ("a", "b")), make_discriminator(config, 16, 1, ("a", "b"))
    assert (G.config.architecture, D.config.architecture, G.config.mapping_layers) == ("orig", "skip", 3)
    assert D(G(torch.zeros(4, 8), torch.eye(2)[[0, 1, 0, 1]]), torch.eye(2)[[0, 1, 0, 1]]).shape == (4, 1)


def test_freezing_counts_from_the_full_resolution_down():
    D = Discriminator(DiscriminatorConfig(resolution=16, channel_base=64, channel_max=8, architecture="orig"))
    assert freeze(D, 0) == []
    assert all(parameter.requires_grad for parameter in D.parameters())
    assert freeze(D, 4) == ["b16.fromrgb", "b16.conv0", "b16.conv1", "b8.conv0"]
    assert not any(parameter.requires_grad for parameter in D.b16.parameters())
    assert D.b8.conv1.weight.requires_grad
    with pytest.raises(InputError, match="at most 5 at this resolution, got 6"):
        freeze(D, 6)
