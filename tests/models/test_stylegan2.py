import dataclasses

import numpy as np
import pytest
import torch

from histoxplain import InputError, ops
from histoxplain.models import (
    Discriminator,
    DiscriminatorConfig,
    Generator,
    GeneratorConfig,
    load_discriminator,
    load_generator,
    save_discriminator,
    save_generator,
)
from histoxplain.models.stylegan2.layers import MinibatchStd

TINY = {"resolution": 16, "c_dim": 3, "channel_base": 128, "channel_max": 8}


def tiny_generator(**changes):
    return Generator(GeneratorConfig(**{**TINY, "z_dim": 8, "w_dim": 8, "mapping_layers": 2, **changes}), tuple("abc"))


@pytest.fixture(scope="module")
def reference(shared):
    """A generator and a discriminator with the fixture's weights, and what the reference computes with them."""
    arrays = np.load(shared / "fixtures/stylegan2/nets/r32_c2.npz")
    arrays = {name: torch.tensor(value) for name, value in arrays.items()}
    sizes = {"resolution": 32, "c_dim": 2, "channel_base": 1024, "channel_max": 64}
    networks = Generator(GeneratorConfig(z_dim=64, w_dim=64, **sizes)), Discriminator(DiscriminatorConfig(**sizes))
    for prefix, network in zip("GD", networks):
        state = {name[2:]: value for name, value in arrays.items() if name.startswith(f"{prefix}/")}
        network.load_state_dict({name: v for name, v in state.items() if not name.endswith("resample_filter")})
        network.eval().requires_grad_(False)
    return *networks, arrays


@pytest.mark.parametrize("psi", ["1", "0.7", "0.5", "0"])
def test_images_match_reference(reference, psi):
    G, _, arrays = reference
    ws = G.mapping(arrays["z"], arrays["c"], truncation_psi=float(psi))
    torch.testing.assert_close(ws, arrays[f"w_psi{psi}"], atol=1e-5, rtol=0)
    torch.testing.assert_close(G.synthesis(ws), arrays[f"img_psi{psi}"], atol=1e-4, rtol=0)


def test_truncation_cutoff_and_noise_match_reference(reference):
    G, _, arrays = reference
    ws = G.mapping(arrays["z"], arrays["c"], truncation_psi=0.5, truncation_cutoff=4)
    torch.testing.assert_close(ws, arrays["w_psi0.5_cut4"], atol=1e-5, rtol=0)
    ws = G.mapping(arrays["z"], arrays["c"])
    torch.testing.assert_close(G.synthesis(ws, "none"), arrays["img_psi1_nonoise"], atol=1e-4, rtol=0)
    torch.manual_seed(123)
    torch.testing.assert_close(G.synthesis(ws, "random"), arrays["img_psi1_randnoise_seed123"], atol=1e-4, rtol=0)


def test_styles_match_reference(reference):
    G, _, arrays = reference
    styles = G.styles(G.mapping(arrays["z"], arrays["c"]))
    for name, style in styles.items():
        torch.testing.assert_close(style, arrays[f"style/{name}.affine"], atol=1e-5, rtol=0)
    torch.testing.assert_close(ops.setup_filter([1, 3, 3, 1]), arrays["G/synthesis.b8.resample_filter"])
    torch.testing.assert_close(G.synthesis_from_styles(styles), arrays["img_psi1"], atol=1e-4, rtol=0)


def test_logits_match_reference(reference):
    _, D, arrays = reference
    torch.testing.assert_close(D(arrays["img_psi1"], arrays["c"]), arrays["D_fake"], atol=1e-4, rtol=0)
    torch.testing.assert_close(D(arrays["img_rand"], arrays["c"]), arrays["D_rand"], atol=1e-4, rtol=0)
    torch.testing.assert_close(D.mapping(None, arrays["c"]), arrays["D_cmap"], atol=1e-5, rtol=0)


def test_minibatch_std_matches_reference(op_arrays):
    torch.testing.assert_close(MinibatchStd(4, 1)(op_arrays["x"]), op_arrays["y"], atol=1e-5, rtol=0)


@pytest.fixture
def op_arrays(shared):
    arrays = np.load(shared / "fixtures/stylegan2/ops/mbstd_N4_g4_c1.npz")
    return {name: torch.tensor(value) for name, value in arrays.items()}


def test_minibatch_std_by_hand():
    x = torch.tensor([0.0, 1.0, 2.0, 5.0])[:, None, None, None]
    spread = MinibatchStd(2)(x)[:, 1, 0, 0]
    torch.testing.assert_close(spread, torch.tensor([1.0, 2.0, 1.0, 2.0]))  # pairs (0, 2) and (1, 5)


def test_discriminator_keeps_batches_apart(rng):
    config = DiscriminatorConfig(resolution=8, c_dim=3, channel_base=64, channel_max=8, mbstd_group_size=4)
    D, c = Discriminator(config), torch.eye(3)[[0, 1, 2, 0]]
    a, b = torch.randn(2, 4, 3, 8, 8, generator=rng)
    both = D(torch.cat([a, b]), torch.cat([c, c]), batches=2)
    torch.testing.assert_close(both, torch.cat([D(a, c), D(b, c)]))
    assert (both - D(torch.cat([a, b]), torch.cat([c, c]))).abs().max() > 1e-4


def test_label_reaches_the_image_and_the_gradient():
    G = tiny_generator()
    z = torch.randn(1, 8)
    first, second = (G(z, torch.eye(3)[[k]]) for k in (0, 1))
    assert (first - second).abs().max() > 1e-3
    (first - second).square().sum().backward()
    assert G.mapping.embed.weight.grad.abs().max() > 0


@pytest.mark.parametrize("architecture", ["skip", "orig", "resnet"])
@pytest.mark.parametrize("channels", [1, 3])
def test_architectures_have_the_right_shapes(architecture, channels):
    G = tiny_generator(architecture=architecture, channels=channels)
    D = Discriminator(DiscriminatorConfig(**TINY, architecture=architecture, channels=channels))
    x = G(torch.randn(4, 8), torch.eye(3)[[0, 1, 2, 0]])
    assert x.shape == (4, channels, 16, 16)
    assert D(x, torch.eye(3)[[0, 1, 2, 0]]).shape == (4, 1)
    assert len(G.styles(torch.zeros(1, G.num_ws, 8))) == {"skip": 8, "orig": 6, "resnet": 6}[architecture]


def test_mapping_tracks_the_mean_only_when_asked():
    G = tiny_generator()
    z, c = torch.randn(64, 8), torch.eye(3)[torch.arange(64) % 3]
    G.mapping(z, c)
    assert G.mapping.w_avg.abs().max() == 0
    ws = G.mapping(z, c, update_average=True)
    torch.testing.assert_close(G.mapping.w_avg, 0.005 * ws[:, 0].mean(0).detach())


def test_bfloat16_images_stay_close():
    G = tiny_generator(channel_base=512, channel_max=32).eval()
    z, c = torch.randn(8, 8), torch.eye(3)[torch.arange(8) % 3]
    with torch.no_grad():
        exact, rounded = G.set_precision("float32")(z, c), G.set_precision("bfloat16")(z, c)
    assert rounded.dtype == torch.float32
    assert (exact - rounded).abs().mean() < 0.02 * exact.std()


def test_round_trip_through_files(tmp_path):
    G, D = tiny_generator(), Discriminator(DiscriminatorConfig(**TINY), tuple("abc"))
    save_generator(tmp_path / "g.safetensors", G, {"images_seen": 5})
    save_discriminator(tmp_path / "d.safetensors", D)
    z, c = torch.randn(4, 8), torch.eye(3)[[0, 1, 2, 0]]
    again = load_generator(tmp_path / "g.safetensors", "cpu", "float32")
    assert again.class_names == ("a", "b", "c")
    torch.testing.assert_close(again(z, c), G(z, c))
    torch.testing.assert_close(
        load_discriminator(tmp_path / "d.safetensors", "cpu", "float32")(G(z, c), c), D(G(z, c), c)
    )
    with pytest.raises(InputError, match=r"stylegan2\.generator"):
        load_generator(tmp_path / "d.safetensors")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda G: G.mapping(torch.zeros(1, 8), None), "`c` must have shape"),
        (lambda G: G.mapping(torch.zeros(1, 9), torch.eye(3)[:1]), "`z` must have shape"),
        (lambda G: G.synthesis(torch.zeros(1, 5, 8)), "`ws` must have shape"),
        (lambda G: G.synthesis(torch.zeros(1, 6, 8), noise_mode="constant"), "nearest valid is 'const'"),
        (lambda G: dataclasses.replace(G.config, resolution=48), "nearest valid are 32 and 64"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(InputError, match=says):
        call(tiny_generator())


def test_discriminator_refuses_other_sizes():
    D = Discriminator(DiscriminatorConfig(**TINY))
    with pytest.raises(InputError, match="16 x 16"):
        D(torch.zeros(1, 3, 32, 32), torch.eye(3)[:1])
