"""1x1 convolutions between many channels and few."""

import pytest
import torch

from histoxplain.ops import reference_only
from histoxplain.ops.convolution_layer import convolution_layer
from histoxplain.ops.pointwise import pays, pointwise

NARROWING = [(2, 64, 3, 9, 13), (3, 128, 4, 20, 20), (1, 80, 1, 8, 8)]
WIDENING = [(2, 3, 64, 17, 5), (2, 1, 48, 7, 7), (2, 2, 16, 1, 5)]
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}


def drawn(rng, n, into, out, height, width, dtype):
    """Images that lie channels last, matrices, and a gradient of the result."""
    x, dy = (torch.randn(n, c, height, width, generator=rng).to(dtype) for c in (into, out))
    x = x.to(memory_format=torch.channels_last).requires_grad_()
    return x, torch.randn(n, out, into, generator=rng).requires_grad_(), dy


def gradients(function, x, w, dy):
    """Of the first order and of the second."""
    y = function(x, w)
    first = torch.autograd.grad(y, [x, w], dy, create_graph=True)
    return y, *first, *torch.autograd.grad(sum(g.square().sum() for g in first), [x, w])


def assert_close(found, expected, dtype):
    for a, b in zip(found, expected, strict=True):
        assert (a.double() - b).norm() <= TOLERANCE[dtype] * b.norm()


@pytest.mark.parametrize("shape", [*NARROWING, *WIDENING])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_gradients_of_both_orders_are_those_of_the_formula(shape, dtype, kernels, rng):
    x, w, dy = drawn(rng, *shape, dtype)
    exact = (t.detach().double().requires_grad_() for t in (x, w))
    expected = gradients(lambda x, w: torch.einsum("nihw,noi->nohw", x, w), *exact, dy.double())
    assert_close(gradients(pointwise, x, w, dy), expected, dtype)


def test_colours_are_mixed_by_styles_without_a_scaled_copy(rng):
    x, w, styles = torch.randn(2, 32, 5, 5, generator=rng), torch.randn(3, 32, 1, 1), torch.randn(2, 32)
    x = x.contiguous(memory_format=torch.channels_last)
    if not pays(x, 3):
        pytest.skip("there are no native kernels here")
    y = convolution_layer(x, w, styles)
    assert y.is_contiguous(memory_format=torch.channels_last)
    with reference_only():
        expected = convolution_layer(x.double(), w, styles.double())
    assert_close([y], [expected], torch.float32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_types_are_torch_s(dtype):
    x = torch.ones(1, 16, 2, 2, dtype=dtype).contiguous(memory_format=torch.channels_last)
    assert not pays(x, 3)
    assert pointwise(x, torch.ones(1, 3, 16)).eq(16).all()


def test_many_channels_on_both_sides_are_torch_s(rng):
    x, w, _ = drawn(rng, 2, 16, 8, 3, 3, torch.float32)
    assert not pays(x, 8)
    assert_close([pointwise(x, w)], [torch.einsum("nihw,noi->nohw", x.double(), w.double())], torch.float32)
