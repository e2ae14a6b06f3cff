"""What is replayed is what was recorded: the same bits, at other values of inputs, parameters and random numbers."""

import weakref

import numpy as np
import pytest
import torch
from torch import Tensor

from histoxplain.models.stylegan2 import Discriminator, DiscriminatorConfig, Generator, GeneratorConfig
from histoxplain.ops._library import kernels_are_there
from histoxplain.ops.convolution_layer import layers_in_parts
from histoxplain.train.config_gan import GANConfig
from histoxplain.train.flat import flatten
from histoxplain.train.gan import GANTraining
from histoxplain.train.recorded import Recorded

SHAPE = {"resolution": 16, "c_dim": 2, "channel_base": 512, "channel_max": 32}


@pytest.fixture
def discriminator():
    torch.manual_seed(0)
    return Discriminator(DiscriminatorConfig(**SHAPE)).set_precision("bfloat16")


@pytest.fixture
def generator():
    torch.manual_seed(0)
    G = Generator(GeneratorConfig(**SHAPE, z_dim=8, w_dim=8, mapping_layers=2)).set_precision("bfloat16")
    G.synthesis.start_noise(0.5, least=4)
    return G


def with_gradients(function, inputs, parameters):
    """The value, and gradients of a loss whose own gradient differs from place to place."""
    inputs = [x.detach().requires_grad_() for x in inputs]
    y = function(*inputs)
    loss = (y.float() * torch.linspace(-1, 1, y.numel()).view(y.shape)).square().sum()
    return [y.detach(), *torch.autograd.grad(loss, [*inputs, *parameters], allow_unused=True)]


def alike(one, other):
    return len(one) == len(other) and all(
        (a is None and b is None) or (a.stride() == b.stride() and torch.equal(a, b)) for a, b in zip(one, other)
    )


def test_a_discriminator_and_its_gradients(discriminator):
    parameters = list(discriminator.parameters())
    quick = Recorded(discriminator, parameters, patience=1)
    for seed in range(4):
        torch.manual_seed(seed)
        inputs = [torch.randn(8, 3, 16, 16), torch.rand(8, 2)]
        with torch.no_grad():
            for parameter in parameters:
                parameter.mul_(1.1)
        assert alike(with_gradients(quick, inputs, parameters), with_gradients(discriminator, inputs, parameters))
    assert len(quick._recordings) == 1


@pytest.mark.skipif(not kernels_are_there("cpu"), reason="no compiler: there are no native kernels")
def test_at_its_forks_filtered_gradients_are_added_on_the_way(discriminator):
    flat = flatten(discriminator, [torch.randn(8, 3, 16, 16, requires_grad=True), torch.rand(8, 2)])
    assert "upfirdn2d_add_" in flat.backward.func.__code__.co_names


def test_a_synthesis_draws_new_noise_in_every_replay(generator):
    rng, parameters = torch.Generator(), list(generator.synthesis.parameters())

    def draw(ws: Tensor) -> Tensor:
        return generator.synthesis(ws, noise_mode="random", generator=rng)

    quick, ws = Recorded(draw, parameters, patience=1), torch.randn(4, generator.num_ws, 8)
    values = []
    for seed in range(4):
        found = [with_gradients(f, [ws], parameters) for f in (draw, quick) if rng.manual_seed(seed)]
        assert alike(*found)
        values.append(found[1][0])
    assert not torch.equal(values[2], values[3])
    with torch.no_grad():
        assert torch.equal(*(quick(ws) for _ in range(2) if rng.manual_seed(7)))
        assert torch.equal(*(f(ws) for f in (quick, draw) if rng.manual_seed(7)))


def test_every_kind_of_call_is_its_own_recording():
    calls = []

    def double(x: Tensor, y: Tensor | None = None) -> Tensor:
        calls.append(None)
        return 2 * x if y is None else 2 * x + y

    quick, one = Recorded(double, patience=2), torch.ones(2)
    for _ in range(9):
        assert quick(one, None).tolist() == [2, 2]
        assert quick(one, one).tolist() == [3, 3]
        assert quick(one.double()).dtype == torch.float64
        assert quick(torch.ones(3)).shape == (3,)
    assert len(calls) < 4 * 9


def test_parameters_that_are_frozen_get_no_gradient(discriminator):
    parameters = list(discriminator.parameters())
    quick, x = Recorded(discriminator, parameters, patience=1), torch.randn(4, 3, 16, 16)
    c = torch.eye(2)[[0, 1, 0, 1]]
    for wanted in (False, True) * 3:
        discriminator.requires_grad_(wanted)
        discriminator.zero_grad()
        quick(x.requires_grad_(), c).sum().backward()
        assert all((parameter.grad is not None) == wanted for parameter in parameters)


def test_a_gradient_has_no_gradient_but_in_parts():
    quick = Recorded(lambda x: x.square() * x, patience=1)
    x = torch.tensor([2.0], requires_grad=True)
    for _ in range(2):
        quick(x).backward()
    with pytest.raises(RuntimeError, match="layers_in_parts"):
        torch.autograd.grad(quick(x), x, create_graph=True)
    y = quick(x)
    y.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once"):
        y.backward()
    with layers_in_parts():
        (slope,) = torch.autograd.grad(quick(x), x, create_graph=True)
    assert torch.autograd.grad(slope, x)[0].item() == 12


def test_what_is_summed_in_place_is_nobody_elses():
    """Inputs, constants, what is returned, what a gradient needs, and what others look at."""
    constant = torch.ones(2, 2)

    def function(x: Tensor) -> Tensor:
        a = x * 2
        b = a + x  # `a` is needed again
        c = x + constant
        d = constant + c
        e = (x * 3).T + b
        f = x * 5
        return (a * b + d * e + (f + 1) * f.T).exp()

    x = torch.tensor([[0.1, 0.2], [0.3, 0.4]], requires_grad=True)
    flat = flatten(function, [x])
    for _ in range(3):
        before = x.detach().clone()
        y, kept = flat.run([x.detach()])
        assert torch.equal(y, function(x))
        (dx,) = flat.run_back(kept, torch.ones(2, 2))
        torch.testing.assert_close(dx, torch.autograd.grad(function(x).sum(), x)[0])
        assert torch.equal(x, before)
        assert torch.equal(constant, torch.ones(2, 2))
        assert kept == []


def test_gradients_may_lie_differently_in_memory():
    quick = Recorded(lambda x: x * x, patience=1)
    for _ in range(3):
        x = torch.arange(6.0).view(2, 3).requires_grad_()
        quick(x).T.contiguous().sum().backward()  # an expanded gradient, transposed
        assert torch.equal(x.grad, 2 * x.detach())


def test_nothing_is_held_longer_than_its_graph(discriminator):
    quick = Recorded(discriminator, discriminator.parameters(), patience=1)
    for _ in range(3):
        x = torch.randn(4, 3, 16, 16)
        y = quick(x, torch.eye(2)[[0, 1, 0, 1]])
    held = weakref.ref(x)
    del x, y
    assert held() is None


def weights(training):
    return torch.cat([x.detach().flatten() for part in (training.G, training.D) for x in part.parameters()])


@pytest.mark.parametrize("augment_p", [0.0, 0.5])
def test_a_training_that_replays_ends_with_the_same_weights(augment_p):
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (16, 3, 16, 16), dtype=np.uint8))
    shape = {"channel_base": 512, "channel_max": 32, "z_dim": 8, "w_dim": 8, "precision": "bfloat16", "device": "cpu"}
    how = {"batch": 8, "r1_interval": 2, "pl_interval": 2, "augment_p": augment_p, "style_mixing": 0.5}
    found = []
    for patience in (1, 10**9):
        training = GANTraining(pixels, np.arange(16) % 2, ("a", "b"), GANConfig(**shape, **how))
        parts = [part for part in vars(training).values() if isinstance(part, Recorded)]
        for part in parts:
            part.patience = patience
        for _ in range(6):
            training.step()
        found.append(weights(training))
        assert [part for part in parts if part._recordings] == (parts[: 6 - bool(augment_p)] if patience == 1 else [])
    assert torch.equal(*found)
