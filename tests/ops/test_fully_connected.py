import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck
from torch.library import opcheck

from histoxplain.ops.fully_connected import fully_connected

pytestmark = pytest.mark.usefixtures("kernels")
SHAPES = [(1, 1, 1), (7, 33, 5), (16, 128, 40), (32, 3, 130), (5, 300, 1), (33, 70, 71)]
GAINS = {"linear": (0.3, 1.0, 1.0, 1.0), "lrelu": (0.3, 0.7, 0.2, 1.4)}


def drawn(rng, n, into, out, dtype=torch.float64):
    shapes = (n, into), (out, into), (out,)
    return [torch.randn(shape, generator=rng, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes]


def formula(x, weight, bias, weight_gain, bias_gain, slope, gain):
    return F.leaky_relu(F.linear(x, weight) * weight_gain + bias * bias_gain, slope) * gain


def with_gradients(function, inputs, gains, ahead):
    y = function(*inputs, *gains)
    return [y, *torch.autograd.grad(y, inputs, ahead.to(y.dtype))]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gains", GAINS.values(), ids=GAINS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-13), (torch.float32, 1e-5), (torch.bfloat16, 0.02), (torch.float16, 3e-3)],
    ids=str,
)
def test_is_the_formula_and_so_are_its_gradients(shape, gains, dtype, tolerance, rng):
    inputs = drawn(rng, *shape, dtype)
    exact = [x.detach().double().requires_grad_() for x in inputs]
    ahead = torch.randn(shape[0], shape[2], generator=rng, dtype=torch.float64).to(dtype).double()
    found, expected = (with_gradients(f, x, gains, ahead) for f, x in ((fully_connected, inputs), (formula, exact)))
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == dtype
        assert (a.double() - b).norm() <= tolerance * b.norm()


def test_rows_that_lie_apart_are_read_where_they_are(rng):
    x, weight, bias = (t.detach() for t in drawn(rng, 6, 20, 9, torch.float32))
    ws = torch.stack([x, -x], 1)
    torch.testing.assert_close(fully_connected(ws[:, 1], weight, bias), fully_connected(-x, weight, bias))
    torch.testing.assert_close(fully_connected(x, weight.T.contiguous().T, bias), F.linear(x, weight, bias))


def test_any_number_of_threads_computes_the_same(kernels, rng):
    if kernels == "reference":
        pytest.skip("what a library's threads do is not ours to promise")
    inputs, ahead = drawn(rng, 37, 300, 141, torch.float32), torch.randn(37, 141, generator=rng)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(with_gradients(fully_connected, inputs, GAINS["lrelu"], ahead))
    assert all(torch.equal(a, b) for more in found[1:] for a, b in zip(found[0], more, strict=True))


@pytest.mark.parametrize("wrong", range(3))
def test_what_does_not_fit_is_refused(wrong):
    inputs = [torch.ones(2, 3), torch.ones(4, 3), torch.ones(4)]
    inputs[wrong] = torch.ones(inputs[wrong].shape[0], 5) if wrong < 2 else torch.ones(5)
    with pytest.raises(RuntimeError):
        fully_connected(*inputs)


def test_an_empty_batch_has_gradients_of_zero(rng):
    inputs = drawn(rng, 0, 20, 9, torch.float32)
    y, dx, dweight, dbias = with_gradients(fully_connected, inputs, GAINS["lrelu"], torch.zeros(0, 9))
    assert y.shape == (0, 9)
    assert dx.shape == (0, 20)
    assert not dweight.any()
    assert not dbias.any()


@pytest.mark.parametrize("wanted", range(3))
def test_one_gradient_alone_is_the_same(wanted, rng):
    inputs = drawn(rng, 6, 20, 9, torch.float32)
    ahead = torch.randn(6, 9, generator=rng)
    together = with_gradients(fully_connected, inputs, GAINS["lrelu"], ahead)[1 + wanted]
    fixed = [x.detach().requires_grad_(i == wanted) for i, x in enumerate(inputs)]
    (alone,) = torch.autograd.grad(fully_connected(*fixed, *GAINS["lrelu"]), fixed[wanted], ahead)
    assert torch.equal(alone, together)


@pytest.mark.parametrize("gains", GAINS.values(), ids=GAINS)
def test_first_and_second_gradients(gains, rng):
    inputs = drawn(rng, 3, 4, 5)
    assert gradcheck(fully_connected, (*inputs, *gains))
    assert gradgradcheck(fully_connected, (*inputs, *gains))


def test_opcheck(rng):
    opcheck(torch.ops.histoxplain.fully_connected.default, (*drawn(rng, 3, 4, 5), *GAINS["lrelu"]))
    x, weight, _ = (t.detach() for t in drawn(rng, 3, 4, 5))
    y, dy = torch.randn(2, 3, 5, generator=rng, dtype=torch.float64)
    given = (dy, y, x, weight, *GAINS["lrelu"], [True, False, True])
    opcheck(torch.ops.histoxplain.fully_connected_backward.default, given)


def test_compiles_to_one_graph(rng):
    inputs = drawn(rng, 3, 4, 5, torch.float32)
    compiled = torch.compile(fully_connected, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*inputs, *GAINS["lrelu"]), fully_connected(*inputs, *GAINS["lrelu"]))


def test_function_transforms_see_through(rng):
    x, weight, bias = (t.detach() for t in drawn(rng, 6, 4, 5))
    each = torch.func.vmap(lambda one: fully_connected(one[None], weight, bias)[0])(x)
    torch.testing.assert_close(each, fully_connected(x, weight, bias))
