import pytest
import torch

from histoxplain import InputError
from histoxplain.ops import bias_act, epilogue
from histoxplain.ops._library import is_native, reference_only

pytestmark = pytest.mark.usefixtures("kernels")


def test_by_hand():
    x = torch.tensor([[[[1.0, -2.0]], [[3.0, 40.0]]]])
    scale, noise, b = torch.tensor([[2.0, 0.5]]), torch.tensor([[1.0, 0.0]]), torch.tensor([0.5, -1.5])
    y = epilogue(x, scale, noise, b, act="lrelu", alpha=0.1, gain=2, clamp=30)
    # 2 * 1 + 1 + .5 = 3.5; 2 * -2 + 0 + .5 = -3.5; .5 * 3 + 1 - 1.5 = 1; .5 * 40 + 0 - 1.5 = 18.5
    torch.testing.assert_close(y, torch.tensor([[[[7.0, -0.7]], [[2.0, 30.0]]]]))


def test_gradients_by_hand():
    x = torch.tensor([[[[1.0, -2.0]]]], requires_grad=True)
    scale = torch.tensor([[3.0]], requires_grad=True)
    noise, b = torch.zeros(1, 2, requires_grad=True), torch.zeros(1, requires_grad=True)
    y = epilogue(x, scale, noise, b, act="lrelu", alpha=0.5, gain=10)
    dx, dscale, dnoise, db = torch.autograd.grad(y, (x, scale, noise, b), torch.tensor([[[[1.0, 2.0]]]]))
    # dy * slope * gain is (10, 10)
    assert dx.flatten().tolist() == [30, 30]
    assert dscale.tolist() == [[10 * 1 + 10 * -2]]
    assert dnoise.tolist() == [[10, 10]]
    assert db.tolist() == [20]


@pytest.mark.parametrize("act", ["linear", "relu", "lrelu"])
def test_with_a_bias_alone_it_is_bias_act(act, rng):
    x, b = torch.randn(2, 3, 5, 7, generator=rng), torch.randn(3, generator=rng)
    torch.testing.assert_close(epilogue(x, b=b, act=act, clamp=1), bias_act(x, b, act=act, clamp=1))


def test_rounds_once(rng):
    """Far from zero, where bfloat16 knows nothing below 0.5: 100 + 0.2 + 0.2 is 100.5, not 100."""
    x = torch.full((1, 1, 1, 1), 100.0, dtype=torch.bfloat16)
    assert epilogue(x, noise=torch.full((1, 1), 0.2), b=torch.tensor([0.2])).item() == 100.5


def test_one_noise_image_serves_the_batch(rng):
    x = torch.zeros(3, 2, 4, 4)
    noise = torch.randn(4, 4, generator=rng, requires_grad=True)
    y = epilogue(x, noise=noise)
    torch.testing.assert_close(y, noise.expand(3, 2, 4, 4))
    (gradient,) = torch.autograd.grad(y.sum(), noise)
    assert gradient.tolist() == [[6.0] * 4] * 4


def test_keeps_no_input_without_a_scale():
    x, b = torch.ones(1, 2, 4, 4, requires_grad=True), torch.ones(2, requires_grad=True)
    y = epilogue(x, b=b, act="lrelu")
    assert {tensor.data_ptr() for tensor in y.grad_fn.saved_tensors if tensor is not None} == {y.data_ptr()}


@pytest.mark.skipif(not is_native("epilogue"), reason="there are no native kernels here")
@pytest.mark.parametrize("settings", [("lrelu", 0.2, 1.4, 1.5), ("relu", 0.0, 1.0, None), ("linear", 0.0, 1.0, None)])
@pytest.mark.parametrize("c", [16, 64, 144])  # one vector, all that a pass takes, and that with a rest
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_second_gradients_in_one_pass(dtype, c, settings, kernels, rng, monkeypatch):
    """As path length asks for them, against the reference; the limit of float32 is that of its sums' order."""
    draw = lambda *shape: torch.randn(shape, generator=rng)  # noqa: E731
    small = [draw(2, c), draw(2, 1, 17, 19), draw(c)]
    x, dy, ddx = (draw(2, c, 17, 19).to(dtype, memory_format=torch.channels_last) for _ in range(3))
    found, calls, kernel = [], [], torch.ops.histoxplain.epilogue_second_gradients
    noted = lambda *given: calls.append(given) or kernel(*given)  # noqa: E731
    monkeypatch.setattr(torch.ops.histoxplain, "epilogue_second_gradients", noted)
    for native in (True, False):
        inputs = [value.detach().requires_grad_() for value in (x, *small, dy)]

        def run(inputs=inputs):
            dx, dscale = torch.autograd.grad(epilogue(*inputs[:4], *settings), inputs[:2], inputs[4], create_graph=True)
            return torch.autograd.grad((dx * ddx).float().sum() + dscale.square().sum(), (*inputs[:2], inputs[4]))

        if native:
            found.append(run())
            continue
        with reference_only():
            found.append(run())
    assert len(calls) == (kernels == "native")
    for got, expected in zip(*found, strict=True):
        assert got.dtype == expected.dtype
        assert (got - expected).float().norm() <= (1e-5 if dtype == torch.float32 else 0.01) * expected.float().norm()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"act": "swish"}, "`act`"),
        ({"scale": torch.ones(2)}, r"shape \(1, 2\)"),
        ({"noise": torch.ones(1, 2, 4, 4)}, r"shape \(1, 1, 4, 4\)"),
        ({"b": torch.ones(3)}, r"shape \(2,\)"),
        ({"clamp": -1}, "at least 0"),
    ],
)
def test_bad_input(settings, says):
    with pytest.raises(InputError, match=says):
        epilogue(torch.zeros(1, 2, 4, 4), **settings)
