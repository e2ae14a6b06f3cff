import pytest
import torch

from histoxplain import InputError
from histoxplain.models import (
    DetailEncoder,
    Encoder,
    EncoderConfig,
    Generator,
    GeneratorConfig,
    convert,
    encode,
    load_encoder,
    save_encoder,
)
from histoxplain.models.detail import detail_site, detailed
from histoxplain.models.detail_encoder import config_for


@pytest.fixture(scope="module")
def pair():
    """A generator and an encoder with random weights, whose detail is not silent."""
    torch.manual_seed(0)
    shape = {"resolution": 16, "channel_base": 256, "channel_max": 16, "z_dim": 8, "w_dim": 8, "mapping_layers": 2}
    G = Generator(GeneratorConfig(**shape)).eval().requires_grad_(False)
    E = DetailEncoder(config_for(G, width=8, depth=1))
    torch.nn.init.normal_(E.lack.weight)
    return G, E.eval().requires_grad_(False)


def test_what_is_found_draws_what_is_shown(pair):
    G, E = pair
    x = torch.randn(2, 3, 16, 16)
    found = encode(G, E, x)
    assert found.ws.equal(E(x))
    assert found.detail.abs().mean() > 0.01
    with detailed(G, found.detail):
        assert G.synthesis(found.ws).equal(found.images)
    assert not detail_site(G)._forward_hooks
    assert not torch.allclose(G.synthesis(found.ws), found.images, atol=1e-3)
    features = []
    hook = detail_site(G).register_forward_hook(lambda _, __, out: features.append(out[0]))
    G.synthesis(found.ws)
    hook.remove()
    expected = found.detail.square().mean((1, 2, 3)) / features[0].var((1, 2, 3))
    torch.testing.assert_close(found.effort, expected, rtol=1e-3, atol=1e-5)


def test_an_encoder_without_detail_stays_within_w(pair):
    G, x = pair[0], torch.randn(2, 3, 16, 16)
    E = Encoder(EncoderConfig(resolution=16, channel_base=128, channel_max=8, w_dim=8, num_ws=6))
    found = encode(G, E, x)
    assert found.detail is None
    assert found.effort.tolist() == [0, 0]
    torch.testing.assert_close(found.images, G.synthesis(E(x)))


def test_round_trip_without_the_installed_features(pair, tmp_path):
    E, x = pair[1], torch.randn(2, 3, 16, 16)
    save_encoder(tmp_path / "encoder.safetensors", E)
    kept = load_encoder(tmp_path / "encoder.safetensors", "cpu", "float32")
    assert kept(x).equal(E(x))
    assert not any("projector" in name or "net" in name for name in kept.state_dict())
    (path,) = convert(tmp_path / "encoder.safetensors", tmp_path / "other.safetensors").files
    assert load_encoder(path, "cpu", "float32")(x).equal(E(x))


def test_large_and_grey_images():
    shape = {"resolution": 256, "channels": 1, "channel_base": 512, "channel_max": 4, "z_dim": 4, "w_dim": 4}
    G = Generator(GeneratorConfig(**shape, mapping_layers=1)).eval()
    found = encode(G, DetailEncoder(config_for(G, width=4)), torch.zeros(1, 1, 256, 256))
    assert found.detail.shape == (1, 4, 64, 64)
    assert found.images.shape == (1, 1, 256, 256)


def test_bad_input(pair):
    with pytest.raises(InputError, match="16 x 16"):
        pair[1](torch.zeros(1, 3, 8, 8))
