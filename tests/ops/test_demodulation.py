import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.library import opcheck

from histoxplain.ops.demodulation import demodulation

pytestmark = pytest.mark.usefixtures("kernels")


def drawn(rng, *shape):
    return torch.randn(shape, generator=rng, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("shape", [(5, 3, 3, 3), (16, 40, 3, 3), (7, 33, 1, 1)])
@pytest.mark.parametrize("images", [0, 1, 6])
def test_is_the_reciprocal_length_of_each_filter(shape, images, rng):
    w, s = drawn(rng, *shape), drawn(rng, images, shape[1])
    scale = demodulation(w, s)
    expected = 1 / torch.linalg.vector_norm(w * s[:, None, :, None, None], dim=(2, 3, 4))
    torch.testing.assert_close(scale, expected)
    ahead = torch.randn(scale.shape, generator=rng, dtype=torch.float64)
    found, known = (torch.autograd.grad((y * ahead).sum(), (w, s)) for y in (scale, expected))
    torch.testing.assert_close(found, known, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.03), (torch.float16, 4e-3)])
def test_computes_in_float32_and_rounds_once(dtype, tolerance, rng):
    w, s = drawn(rng, 8, 24, 3, 3), drawn(rng, 2, 24)
    few = [x.detach().to(dtype).requires_grad_() for x in (w, s)]
    scale, expected = demodulation(*few), demodulation(w, s)
    found = [scale, *torch.autograd.grad(scale.sum(), few)]
    for rounded, exact in zip(found, [expected, *torch.autograd.grad(expected.sum(), (w, s))], strict=True):
        assert rounded.dtype == dtype
        assert (rounded - exact).norm() <= tolerance * exact.norm()


def test_first_and_second_gradients(rng):
    inputs = drawn(rng, 2, 3, 3, 3), drawn(rng, 2, 3)
    assert gradcheck(demodulation, inputs)
    assert gradgradcheck(demodulation, inputs)


def test_opcheck(rng):
    opcheck(torch.ops.histoxplain.demodulation.default, (drawn(rng, 2, 3, 3, 3), drawn(rng, 2, 3)))


def test_function_transforms_see_through(rng):
    w, s = drawn(rng, 2, 3, 3, 3).detach(), drawn(rng, 4, 3).detach()
    each = torch.func.vmap(lambda one: demodulation(w, one[None])[0])(s)
    torch.testing.assert_close(each, demodulation(w, s))
