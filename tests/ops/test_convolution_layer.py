import pytest
import torch

from histoxplain.ops import packed
from histoxplain.ops._library import reference_only
from histoxplain.ops.convolution_layer import convolution_layer, layers_in_parts

HOWS = {"same": (1, 1, False), "turned": (1, 1, True), "half": (2, 0, False), "twice": (2, 0, True)}


def sides(how, height, width):
    """Of the result."""
    stride, _, transposed = HOWS[how]
    if stride == 1:
        return height, width
    return tuple(2 * side + 1 if transposed else (side - 1) // 2 for side in (height, width))


def draw(rng, how, n, into, out, height, width, noises, dtype=torch.float32):
    """Images, weight, style, scale, noise and bias of a layer that is computed in tiles."""
    numbers = lambda *shape: torch.randn(shape, generator=rng)  # noqa: E731
    weight = numbers(*((into, out) if HOWS[how][2] else (out, into)), 3, 3) / (9 * into) ** 0.5
    x = numbers(n, into, height, width).to(dtype, memory_format=torch.channels_last)
    noise = numbers(n if noises == "each" else 1, 1, *sides(how, height, width))
    inputs = x, weight, numbers(n, into) / 4 + 1, numbers(n, out) / 4 + 1, noise, numbers(out)
    return [tensor.requires_grad_() for tensor in inputs]


def exact(inputs):
    return [tensor.detach().double().requires_grad_() for tensor in inputs]


def distance(found, truth):
    return ((found.double() - truth).norm() / truth.norm()).item()


pytestmark = pytest.mark.skipif(not packed.load(), reason="no compiler: there are no native kernels")


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(("height", "width"), [(16, 16), (9, 23), (64, 64)])
@pytest.mark.parametrize(
    ("act", "clamp", "noises"),
    [("lrelu", None, "one"), ("lrelu", 1.0, "each"), ("relu", 1.5, "one"), ("linear", None, "each")],
)
def test_values_and_gradients_are_those_of_the_parts(how, height, width, act, clamp, noises, rng):
    inputs = draw(rng, how, 3, 32, 48, height, width, noises)
    settings = (act, 1.3, clamp, *HOWS[how])
    y, truth = convolution_layer(*inputs, *settings), convolution_layer(*(doubles := exact(inputs)), *settings)
    dy = torch.randn(y.shape, generator=rng)
    found = y, *torch.autograd.grad(y, inputs, dy)
    expected = truth, *torch.autograd.grad(truth, doubles, dy.double())
    assert [result.shape for result in found] == [result.shape for result in expected]
    assert max(map(distance, found, expected)) < (2e-5 if act == "linear" else 5e-3)  # one unit may bend the other way
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("how", HOWS)
def test_bfloat16_rounds_tiles_and_results_only(how, rng):
    inputs = draw(rng, how, 2, 32, 48, 20, 32, "one", torch.bfloat16)
    settings = ("linear", 1.3, None, *HOWS[how])
    y, truth = convolution_layer(*inputs, *settings), convolution_layer(*(doubles := exact(inputs)), *settings)
    dy = torch.randn(y.shape, generator=rng).bfloat16()
    found = y, *torch.autograd.grad(y, inputs, dy)
    expected = truth, *torch.autograd.grad(truth, doubles, dy.double())
    assert max(map(distance, found, expected)) < 2e-2
    assert [result.dtype for result in found[1:]] == [tensor.dtype for tensor in inputs]


@pytest.mark.parametrize("absent", range(2, 6))
def test_any_of_what_surrounds_it_may_be_absent(absent, rng):
    inputs = draw(rng, "same", 2, 32, 32, 16, 16, "one")
    given = [None if i == absent else tensor for i, tensor in enumerate(inputs)]
    settings = ("lrelu", 2**0.5, 1.0, 1, 1)
    y = convolution_layer(*given, *settings)
    with layers_in_parts():
        expected = convolution_layer(*given, *settings)
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=1e-5)
    present = [tensor for tensor in given if tensor is not None]
    for found, truth in zip(*(torch.autograd.grad(result.square().sum(), present) for result in (y, expected))):
        torch.testing.assert_close(found, truth, atol=2e-3, rtol=1e-4)


@pytest.mark.parametrize("how", HOWS)
def test_gradients_have_gradients(how, rng):
    """Of a penalty on the gradient of images, as R1 is, with respect to everything; in parts and not."""
    inputs = draw(rng, how, 2, 32, 32, 16, 16, "one")

    def penalty(inputs):
        y = convolution_layer(*inputs, "lrelu", 1.3, None, *HOWS[how])
        (gradient,) = torch.autograd.grad(y.square().sum(), inputs[0], create_graph=True)
        return gradient.square().sum()

    doubles = exact(inputs)
    expected = torch.autograd.grad(penalty(doubles), doubles)
    found = torch.autograd.grad(penalty(inputs), inputs)
    with layers_in_parts():
        in_parts = torch.autograd.grad(penalty(inputs), inputs)
    for each in zip(found, in_parts, expected, strict=True):
        assert distance(each[0], each[2]) < 5e-3  # as above
        assert distance(each[1], each[2]) < 5e-3


def test_only_the_gradients_that_are_asked_for_are_computed(rng):
    inputs = draw(rng, "same", 2, 32, 32, 16, 16, "one")
    for tensor in (inputs[1], inputs[4]):
        tensor.requires_grad_(False)
    y = convolution_layer(*inputs, "lrelu", 1.3, None, 1, 1)
    x, weight, style, *_ = inputs
    assert all(found is not None for found in torch.autograd.grad(y.sum(), (x, style)))
    assert weight.grad is None


def test_references_know_no_tiles(rng):
    inputs = draw(rng, "same", 2, 32, 32, 16, 16, "one")
    settings = ("lrelu", 1.3, None, 1, 1)
    with reference_only():
        slow = convolution_layer(*inputs, *settings)
    quick = convolution_layer(*inputs, *settings)
    assert not torch.equal(slow, quick)
    torch.testing.assert_close(slow, quick, atol=1e-5, rtol=1e-5)
