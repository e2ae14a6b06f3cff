import numpy as np
import pytest
import torch
from torch import nn

from histoxplain import InputError
from histoxplain.models import load_discriminator, load_encoder, load_generator
from histoxplain.models.foreign import foreign_kinds, read_foreign

Z, C = torch.randn(4, 8, generator=torch.Generator().manual_seed(1)), torch.eye(3)[[0, 1, 2, 0]]
GENERATORS = [
    {},
    {"c_dim": 3},
    {"channels": 1, "use_noise": False},
    {"architecture": "orig", "c_dim": 3},
    {"architecture": "resnet"},
    {"resolution": 4, "mapping_layers": 1},
    {"resolution": 64, "channel_base": 300, "channel_max": 16},
    {"conv_clamp": 0.5, "mapping_layers": 8},
]
DISCRIMINATORS = [
    {},
    {"c_dim": 3},
    {"architecture": "orig", "channels": 1},
    {"architecture": "skip", "conv_clamp": 0.5},
    {"mbstd_channels": 0},
    {"mbstd_channels": 2, "mbstd_group_size": 2},
]


@pytest.fixture(scope="module")
def reference(shared):
    arrays = np.load(shared / "fixtures/stylegan2/nets/r32_c2__pkl.npz")
    return shared / "fixtures/stylegan2/r32_c2.pkl", {name: torch.tensor(value) for name, value in arrays.items()}


def test_images_match_reference(reference):
    path, arrays = reference
    G = load_generator(path, "cpu")  # precision "auto" is exact here
    torch.testing.assert_close(G(arrays["z"], arrays["c"]), arrays["G_ema_img"], atol=1e-4, rtol=0)
    torch.testing.assert_close(G(arrays["z"], arrays["c"], 0.7), arrays["G_ema_img_psi0.7"], atol=1e-4, rtol=0)


def test_logits_match_reference(reference):
    path, arrays = reference
    logits = load_discriminator(path, "cpu")(arrays["G_ema_img"], arrays["c"])
    torch.testing.assert_close(logits, arrays["D_logits"], atol=1e-4, rtol=0)


def test_the_trained_generator_is_there_too(reference):
    path, arrays = reference
    average, trained = (read_foreign(path, "stylegan2.generator", name) for name in ("G_ema", "G"))
    assert trained.meta == {"from": "nvidia", "network": "G"}
    assert average.config == trained.config
    G = load_generator(path, "cpu")
    G.load_state_dict(trained.state)
    torch.testing.assert_close(G(arrays["z"], arrays["c"]), arrays["G_img"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", GENERATORS, ids=str)
@pytest.mark.parametrize("protocol", [3, 4])
def test_generators_of_every_shape(make_generator, write_pickle, shape, protocol):
    G = make_generator(**shape)
    path = write_pickle({"G_ema": G}, protocol=protocol, conv_clamp=G.config.conv_clamp)
    found = load_generator(path, "cpu")
    assert torch.equal(found(Z, C, 0.7), G(Z, C, 0.7))
    assert found.config.architecture == G.config.architecture or G.img_resolution == 4


@pytest.mark.parametrize("shape", DISCRIMINATORS, ids=str)
def test_discriminators_of_every_shape(make_discriminator, write_pickle, shape):
    D = make_discriminator(**shape)
    group = D.config.mbstd_group_size
    path = write_pickle({"D": D}, conv_clamp=D.config.conv_clamp, group_size=group, num_channels=1)
    x = torch.randn(4, D.img_channels, 16, 16)
    assert torch.equal(load_discriminator(path, "cpu")(x, C), D(x, C))


def test_frozen_layers_are_buffers(make_discriminator, write_pickle):
    D = make_discriminator()
    path = write_pickle({"D": frozen(make_discriminator(), D)})
    x = torch.randn(4, 3, 16, 16)
    assert torch.equal(load_discriminator(path, "cpu")(x), D(x))


def frozen(network: nn.Module, like: nn.Module) -> nn.Module:
    """The same weights, with the first layer's as buffers."""
    network.load_state_dict(like.state_dict())
    layer = network.b16.fromrgb
    weight, bias = layer.weight.data, layer.bias.data
    del layer.weight, layer.bias
    layer.register_buffer("weight", weight)
    layer.register_buffer("bias", bias)
    return network


def test_the_moving_average_comes_first(make_generator, write_pickle):
    average, trained = make_generator(), make_generator()
    path = write_pickle({"G": trained, "G_ema": average})
    assert torch.equal(load_generator(path, "cpu")(Z), average(Z))
    assert torch.equal(load_generator(write_pickle({"G": trained}), "cpu")(Z), trained(Z))


def test_attributes_of_the_later_repository(make_generator, write_pickle):
    path = write_pickle({"G_ema": make_generator()}, w_avg_beta=0.998, fused_modconv_default="inference_only")
    assert load_generator(path, "cpu").config.w_avg_beta == 0.998


def test_what_a_trimmed_file_leaves_out_is_made(make_generator, write_pickle):
    G = make_generator()
    del G.mapping.w_avg, G.synthesis.b8.conv1.noise_const
    found, again = (read_foreign(write_pickle({"G_ema": G}), "stylegan2.generator") for _ in range(2))
    assert set(found.meta) == {"from", "network", "w_avg", "noise"}
    mean = G.mapping(torch.randn(4096, 8), None)[:, 0].mean(0)
    torch.testing.assert_close(found.state["mapping.w_avg"], mean, atol=0.1, rtol=0)
    assert found.state["synthesis.b8.conv1.noise_const"].std() > 0.5
    assert all(torch.equal(value, again.state[name]) for name, value in found.state.items())


def test_state_dicts_in_the_same_names(make_generator, make_discriminator, tmp_path):
    G, D = make_generator(c_dim=3), make_discriminator(c_dim=3)
    torch.save({"G_ema": G.state_dict(), "D": D.state_dict()}, tmp_path / "both.pt")
    torch.save(G.half().state_dict(), tmp_path / "bare.pt")
    assert foreign_kinds(tmp_path / "both.pt") == ["stylegan2.generator", "stylegan2.discriminator"]
    expected = load_generator(tmp_path / "both.pt", "cpu")(Z, C)
    assert torch.equal(expected, G.float()(Z, C)) or (expected - G(Z, C)).abs().max() < 0.1
    assert load_generator(tmp_path / "bare.pt", "cpu")(Z, C).dtype == torch.float32


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"activation": "swish"}, "the activation 'swish' in"),
        ({"bias_gain": 0.1}, "the learning rate 0.1"),
        ({"layer_names": ["L0_36_512"]}, "StyleGAN3"),
    ],
)
def test_networks_that_would_look_different_are_refused(make_generator, write_pickle, attributes, says):
    with pytest.raises(InputError, match=says):
        load_generator(write_pickle({"G_ema": make_generator()}, **attributes), "cpu")


def test_another_filter_is_refused(make_generator, write_pickle):
    G = make_generator()
    G.synthesis.b16.resample_filter = torch.ones(4, 4) / 16
    with pytest.raises(InputError, match=r"another filter than .* in synthesis\.b16\.resample_filter"):
        load_generator(write_pickle({"G_ema": G}), "cpu")


def test_what_is_not_in_the_file_is_named(make_generator, write_pickle):
    path = write_pickle({"G_ema": make_generator()})
    with pytest.raises(InputError, match="holds no discriminator, only G_ema"):
        load_discriminator(path)
    with pytest.raises(InputError, match="holds no encoder"):
        load_encoder(path)


def test_other_networks_are_refused(make_generator, write_pickle):
    G = make_generator()
    G.synthesis.b8.conv1.weight = nn.Parameter(torch.randn(8, 8, 5, 5))
    with pytest.raises(InputError, match=r"with synthesis\.b8\.conv1\.weight of shape \(8, 8, 5, 5\) where"):
        load_generator(write_pickle({"G_ema": G}), "cpu")
    with pytest.raises(InputError, match=r"lacks synthesis\.b4\.conv1\.weight; it is no StyleGAN2"):
        load_generator(write_pickle({"G_ema": nn.Linear(2, 2)}), "cpu")
