import json

import numpy as np
import pytest
import torch

from histoxplain import ops
from histoxplain.models import Discriminator, DiscriminatorConfig, Generator, GeneratorConfig
from histoxplain.train.ada import next_p
from histoxplain.train.descent import lazy_adam
from histoxplain.train.ema import ema_beta, update_ema
from histoxplain.train.losses import (
    generator_loss,
    layout_correlation,
    path_length_penalty,
    path_lengths,
    r1_penalty,
)
from histoxplain.train.sampler import endless


@pytest.fixture(scope="module")
def networks(shared):
    """The fixture's networks, its losses and its rules."""
    folder = shared / "fixtures/stylegan2"
    weights = {name: torch.tensor(value) for name, value in np.load(folder / "nets/r32_c2.npz").items()}
    losses = {name: torch.tensor(value) for name, value in np.load(folder / "loss/r32_c2.npz").items()}
    sizes = {"resolution": 32, "c_dim": 2, "channel_base": 1024, "channel_max": 64}
    pair = Generator(GeneratorConfig(z_dim=64, w_dim=64, **sizes)), Discriminator(DiscriminatorConfig(**sizes))
    for prefix, network in zip("GD", pair):
        state = {name[2:]: value for name, value in weights.items() if name.startswith(f"{prefix}/")}
        network.load_state_dict({name: v for name, v in state.items() if not name.endswith("resample_filter")})
    return *pair, losses


@pytest.fixture(scope="module")
def rules(shared):
    return json.loads((shared / "fixtures/stylegan2/misc/rules.json").read_text())


@pytest.fixture(params=["reference", "native"])
def tolerance(request):
    """How far gradients may be off, as a share of their norm, with the reference ops and with the native ones.

    The native tiles add in another order, so values differ by 1e-6; a few units in a million, whose inputs lie next to
    0, then take the other side of their leaky ReLU, and each of them moves a gradient by up to 1e-3. The reference adds
    as the fixture's program did and is held close; values are held close for both.
    """
    if request.param == "native":
        yield 5e-3
    else:
        with ops.reference_only():
            yield 5e-4


def check_gradients(network, losses, prefix, tolerance):
    compared = 0
    for name, parameter in network.named_parameters():
        expected = losses.get(f"{prefix}/{name}")
        if expected is not None:
            got = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            assert (got - expected).norm() <= tolerance * expected.norm() + 1e-7, name
            compared += 1
    assert compared > 10


def test_r1_and_its_gradients_match_reference(networks, tolerance):
    _, D, losses = networks
    D.zero_grad()
    real = losses["real"].clone().requires_grad_()
    penalty = r1_penalty(real, D(real, losses["c"]))
    torch.testing.assert_close(penalty, losses["r1_penalty"], rtol=1e-4, atol=1e-6)
    (penalty.mean() * 10 / 2).backward()
    check_gradients(D, losses, "r1_gamma10_dD", tolerance)


def test_path_length_and_its_gradients_match_reference(networks, tolerance):
    G, _, losses = networks
    G.zero_grad()
    ws = G.mapping(losses["z"], losses["c"])
    torch.testing.assert_close(ws, losses["ws"], rtol=1e-4, atol=1e-5)
    lengths = path_lengths(G.synthesis(ws), ws, losses["pl_noise"] * 32)  # stored divided by sqrt(32 * 32)
    torch.testing.assert_close(lengths, losses["pl_lengths"], rtol=1e-4, atol=1e-6)
    penalty, mean = path_length_penalty(lengths, torch.zeros([]))
    torch.testing.assert_close(mean, losses["pl_mean_new"], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(penalty, losses["pl_penalty"], rtol=1e-4, atol=1e-5)
    (penalty.mean() * 2).backward()
    check_gradients(G, losses, "pl_w2_dG", tolerance)


def test_generator_loss_and_its_gradients_match_reference(networks, tolerance):
    G, D, losses = networks
    G.zero_grad()
    logits = D(G.synthesis(G.mapping(losses["z"], losses["c"])), losses["c"])
    torch.testing.assert_close(logits, losses["Gmain_logits"], rtol=1e-4, atol=1e-4)
    loss = generator_loss(logits)
    torch.testing.assert_close(loss.mean(), losses["Gmain_loss"], rtol=1e-4, atol=1e-5)
    loss.backward()
    check_gradients(G, losses, "Gmain_dG", tolerance)


def test_mapping_average_matches_reference(networks):
    G, _, losses = networks
    G.mapping.w_avg.copy_(losses["w_avg_before"])
    G.mapping(losses["z"], losses["c"], update_average=True)
    torch.testing.assert_close(G.mapping.w_avg, losses["w_avg_after_train_fwd"], rtol=1e-5, atol=1e-6)


def test_ema_rule(rules):
    for case in rules["ema"]:
        beta = ema_beta(case["batch"], case["ema_kimg"], case["cur_nimg"], case["rampup"])
        assert beta == pytest.approx(case["beta"], abs=1e-12)


def test_ada_rule(rules):
    p = 0.0
    for case in rules["ada_target0_6_batch64_interval4_kimg500"]:
        p = next_p(p, case["sign_real"])
        assert p == pytest.approx(case["p"], abs=1e-12)


def test_ada_never_leaves_the_unit_interval():
    p = 0.0
    for _ in range(4000):
        p = next_p(p, sign_real=1.0)
        assert p <= 1
    assert p == 1
    assert next_p(0, sign_real=-1) == 0


def test_lazy_regularisation_rule(rules):
    for name, lr in (("G", 0.002), ("D", 0.002)):
        case = rules["lazy_reg"][name]
        got, betas = lazy_adam(lr, case["interval"])
        assert (got, *betas) == pytest.approx((case["lr"], *case["betas"]))


@pytest.mark.parametrize(("n", "seed", "rank", "world"), [(10, 0, 0, 1), (10, 1, 0, 2), (10, 1, 1, 2), (7, 3, 0, 1)])
def test_sampler_order(rules, n, seed, rank, world):
    order = endless(n, seed, rank, world)
    assert [next(order) for _ in range(40)] == rules["infinite_sampler"][f"n{n}_seed{seed}_rank{rank}of{world}"]


def test_sampler_continues_where_it_stopped():
    whole, late = endless(9, 5), endless(9, 5, start=17)
    assert [next(whole) for _ in range(30)][17:] == [next(late) for _ in range(13)]


def test_ema_moves_parameters_and_copies_buffers():
    average, current = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    with torch.no_grad():
        average.weight.fill_(0)
        current.weight.fill_(1)
        current.running_mean.fill_(3)
    update_ema(average, current, 0.75)
    assert average.weight.tolist() == [0.25, 0.25]
    assert average.running_mean.tolist() == [3, 3]


def test_layout_correlation_of_independent_noise_is_small(rng):
    noise = torch.randn(16, 3, 32, 32, generator=rng)
    expected = 1 / (16 * 16 - 1)  # of independent Gaussian vectors, centred, of 16 x 16 entries
    assert layout_correlation(noise) == pytest.approx(expected, rel=0.3)
    one_layout = noise[:1] * torch.rand(16, 3, 1, 1, generator=rng).add(0.5) + torch.rand(16, 3, 1, 1, generator=rng)
    assert layout_correlation(one_layout) > 0.8
