import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from histoxplain.ops import packed, reference_only
from histoxplain.ops.convolution import convolution


class Calls(TorchDispatchMode):
    """The names of all ops that run inside."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, op, types, arguments=(), kwargs=None):
        self.names.append(op._schema.name)
        return op(*arguments, **(kwargs or {}))


@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 0), (2, 1)])
@pytest.mark.parametrize("transposed", [False, True])
def test_gradients_of_two_orders_are_those_of_torch(stride, padding, transposed, rng, kernels):
    x = torch.randn(2, 3, 8, 9, generator=rng, dtype=torch.float64, requires_grad=True)
    w = torch.randn(
        (3, 4, 3, 3) if transposed else (4, 3, 3, 3), generator=rng, dtype=torch.float64, requires_grad=True
    )
    theirs = F.conv_transpose2d if transposed else F.conv2d
    found = []
    for y in (convolution(x, w, stride, padding, transposed), theirs(x, w, None, stride, padding)):
        first = torch.autograd.grad(y.square().sum(), (x, w), create_graph=True)
        second = torch.autograd.grad(sum(gradient.square().sum() for gradient in first), (x, w))
        found.append((y, *first, *second))
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected)


def test_the_weight_of_bfloat16_images_stays_float32(rng):
    x, w = torch.randn(2, 3, 6, 6, generator=rng).bfloat16(), torch.randn(4, 3, 3, 3, generator=rng, requires_grad=True)
    y = convolution(x, w, padding=1)
    (dw,) = torch.autograd.grad(y.sum(), w)
    assert (y.dtype, dw.dtype) == (torch.bfloat16, torch.float32)
    (expected,) = torch.autograd.grad(F.conv2d(x.float(), w, padding=1).sum(), w)
    torch.testing.assert_close(dw, expected)


@pytest.mark.parametrize(("asked", "computed"), [("images", 0), ("weight", 1), ("both", 1)])
def test_only_what_is_asked_for_is_computed(asked, computed, rng):
    x = torch.randn(1, 3, 4, 4, generator=rng, requires_grad=True)
    w = torch.randn(4, 3, 3, 3, generator=rng, requires_grad=True)
    y = convolution(x, w * 1).sum()
    with Calls() as calls:
        torch.autograd.grad(y, {"images": x, "weight": w, "both": (x, w)}[asked], create_graph=True)
    assert calls.names.count("histoxplain::convolution_weight_gradient") == computed
    assert calls.names.count("histoxplain::convolution") == (asked != "weight")


@pytest.mark.parametrize(
    ("n", "into", "out", "side"),
    [(2, 32, 48, (16, 16)), (3, 64, 32, (9, 23)), (16, 32, 32, (5, 5)), (8, 32, 32, (8, 11)), (9, 32, 48, (20, 25))],
)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 4e-6), (torch.bfloat16, 2e-2)], ids=str)
def test_tiles_and_their_gradients_are_as_exact_as_their_type(
    n, into, out, side, stride, transposed, dtype, error, rng
):
    how = {"stride": stride, "padding": 2 - stride}
    assert_exact_in_tiles(n, into, out, side, transposed, how, dtype, error, rng)


@pytest.mark.parametrize("into", [257, 263])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 4e-6), (torch.bfloat16, 2e-2)], ids=str)
def test_a_few_channels_more_than_whole_blocks_are_convolved_apart(into, dtype, error, rng):
    assert_exact_in_tiles(16, into, 256, (4, 4), False, {"stride": 1, "padding": 1}, dtype, error, rng)


@pytest.mark.parametrize(("into", "stride"), [(33, 1), (50, 2), (31, 1), (7, 1)])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 4e-6), (torch.bfloat16, 2e-2)], ids=str)
def test_the_weight_of_any_number_of_channels_has_its_gradient(into, stride, dtype, error, rng):
    x = torch.randn(3, into, 9, 9, generator=rng).to(dtype, memory_format=torch.channels_last)
    w = torch.randn(32, into, 3, 3, generator=rng, requires_grad=True)
    how = {"stride": stride, "padding": 2 - stride}
    (found,) = torch.autograd.grad(convolution(x, w, **how).square().sum(), w)
    exact = w.detach().double().requires_grad_()
    (truth,) = torch.autograd.grad(F.conv2d(x.double(), exact, **how).square().sum(), exact)
    assert (found - truth).square().mean().sqrt() < error * truth.std()


def assert_exact_in_tiles(n, into, out, side, transposed, how, dtype, error, rng):
    """A convolution and its gradients compute with tiles, and are off by `error` of their spread at most."""
    if not packed.load():
        pytest.skip("no compiler: there are no native kernels")
    x = torch.randn(n, into, *side, generator=rng).to(dtype, memory_format=torch.channels_last).requires_grad_()
    w = torch.randn((into, out, 3, 3) if transposed else (out, into, 3, 3), generator=rng).requires_grad_()
    y = convolution(x, w, **how, transposed=transposed)
    gradients = torch.autograd.grad(y.square().sum(), (x, w))
    with reference_only():
        assert not torch.equal(convolution(x, w, **how, transposed=transposed), y)
    assert y.is_contiguous(memory_format=torch.channels_last)
    x, w = (t.detach().double().requires_grad_() for t in (x, w))
    exact = (F.conv_transpose2d if transposed else F.conv2d)(x, w, **how)
    expected = exact, *torch.autograd.grad(exact.square().sum(), (x, w))
    for found, truth in zip((y, *gradients), expected, strict=True):
        assert (found.double() - truth).square().mean().sqrt() < error * truth.std()


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("order", [(1, 0, 2, 3), (0, 1, 3, 2)])  # of channels, of taps
def test_a_weight_is_read_as_it_lies(order, stride, transposed, rng):
    x = torch.randn(2, 32, 17, 17, generator=rng).to(memory_format=torch.channels_last)
    w = torch.randn(32, 32, 3, 3, generator=rng)
    lying = w.permute(order).contiguous().permute(order)
    y, expected = (convolution(x, weight, stride, 2 - stride, transposed) for weight in (lying, w))
    assert torch.equal(y, expected)


def test_references_know_no_tiles(rng):
    x = torch.randn(2, 32, 16, 16, generator=rng).to(memory_format=torch.channels_last)
    w = torch.randn(32, 32, 3, 3, generator=rng)
    with reference_only():
        assert torch.equal(convolution(x, w, padding=1), F.conv2d(x, w, padding=1))
