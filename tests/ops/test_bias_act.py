import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from histoxplain import InputError
from histoxplain.ops import ACTIVATIONS, bias_act

pytestmark = pytest.mark.usefixtures("kernels")

FIXTURES = ["lrelu_def", "lrelu_gain_clamp", "swish_def", "linear_clamp0.256", "nobias"]


@pytest.mark.parametrize("name", FIXTURES)
def test_matches_reference(name, op_fixtures, check_gradients):
    meta, arrays = op_fixtures(f"bias_act_{name}")
    settings = {key: value for key, value in meta["kwargs"].items() if key != "b"}
    inputs = [arrays[key] for key in ("x", "b") if key in arrays]
    check_gradients(lambda *t: bias_act(*t, act=meta["act"], **settings), inputs, arrays)


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_first_and_second_gradients(act, rng):
    x = torch.randn(2, 3, 2, generator=rng, dtype=torch.float64, requires_grad=True)
    b = torch.randn(3, generator=rng, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x, b: bias_act(x, b, act=act, clamp=3), (x, b))
    assert gradgradcheck(lambda x, b: bias_act(x, b, act=act, clamp=3), (x, b))


@pytest.mark.parametrize("settings", [{"alpha": -0.5}, {"gain": -2}, {"gain": 0}])
def test_gradients_where_the_result_does_not_tell_the_input(settings, rng):
    x = torch.randn(2, 3, 4, generator=rng, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: bias_act(x, act="lrelu", **settings), x)
    assert gradgradcheck(lambda x: bias_act(x, act="lrelu", **settings), x)


def test_third_derivatives(rng):
    x = torch.randn(5, generator=rng, dtype=torch.float64, requires_grad=True)
    y = bias_act(x, dim=0, act="tanh")
    for _ in range(3):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    t = torch.tanh(x.detach())
    torch.testing.assert_close(y.detach(), (6 * t**2 - 2) * (1 - t**2))


@pytest.mark.parametrize("act", ["relu", "lrelu", "swish"])
def test_gain_keeps_the_scale_of_gaussian_input(act, rng):
    y = bias_act(torch.randn(200_000, 1, generator=rng), act=act)
    assert 0.6 < y.square().mean() < 1.1


def test_keeps_the_type_and_layout():
    x = torch.randn(2, 4, 3, 3, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    y = bias_act(x, torch.zeros(4), act="lrelu")
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"act": "gelu"}, "`act`"), ({"b": torch.zeros(3)}, r"shape \(2,\)"), ({"clamp": -1}, "at least 0")],
)
def test_bad_input(settings, says):
    with pytest.raises(InputError, match=says):
        bias_act(torch.zeros(1, 2), **settings)
