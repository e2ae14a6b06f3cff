"""What every op promises, whichever kernel computes it: the same tests for each, with native kernels and without."""

import re
import warnings
from dataclasses import dataclass
from shutil import which

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.library import opcheck

from histoxplain import InputError, ops
from histoxplain.ops._library import reference_only

TAPS = ops.setup_filter([1, 3, 3, 1])
WIDE = ops.setup_filter(range(1, 9))


@dataclass
class Draw:
    """Draws the inputs of an op: images lie in memory as asked, small parameters are float32 unless `exact`."""

    rng: torch.Generator
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    memory: str = "contiguous"
    exact: bool = False

    def image(self, n, c, height, width):
        shape = (n, c, height, width)
        if self.memory == "sliced":
            return self.numbers(n, c + 1, height, 2 * width, self.dtype)[:, 1:, :, ::2]
        if self.memory == "permuted":
            return self.numbers(n, width, c, height, self.dtype).permute(0, 2, 3, 1)
        if self.memory == "expanded":
            return self.numbers(1, 1, height, width, self.dtype).expand(shape)
        last = self.memory == "channels_last"
        return self.numbers(*shape, self.dtype).to(
            memory_format=torch.channels_last if last else torch.contiguous_format
        )

    def small(self, *shape):
        return self.numbers(*shape, torch.float64 if self.exact else torch.float32)

    def numbers(self, *shape_and_type):
        *shape, dtype = shape_and_type
        return torch.randn(shape, generator=self.rng, dtype=torch.float64).to(self.device, dtype)

    def taps(self, f):
        return f.to(self.device)


CASES = {
    "bias_act lrelu": lambda d, n: (d.image(n, 3, 4, 6), d.small(3), 1, "lrelu", 0.2, 1.3, 1.5),
    "bias_act swish": lambda d, n: (d.image(n, 3, 4, 6), d.small(6), -1, "swish", 0.0, 1.4, 2.0),
    "bias_act tanh": lambda d, n: (d.image(n, 3, 4, 6), None, 1, "tanh", 0.0, 0.7, -1.0),
    "bias_act_backward lrelu": lambda d, n: (*images(d, n, 2), 1, "lrelu", 0.1, 1.3, 1.5),
    "bias_act_backward swish": lambda d, n: (*images(d, n, 2), 1, "swish", 0.0, 1.4, 2.0),
    "bias_act_backward selu": lambda d, n: (*images(d, n, 2), 1, "selu", 0.0, 0.7, -1.0),
    "upfirdn2d up": lambda d, n: (d.image(n, 3, 4, 6), d.taps(TAPS), [2, 2], [1, 1], [2, 1, 2, 1], False, 4.0),
    "upfirdn2d down": lambda d, n: (d.image(n, 3, 9, 6), d.taps(TAPS), [1, 1], [2, 2], [1, 1, 1, 1], True, 1.0),
    "upfirdn2d crop": lambda d, n: (d.image(n, 3, 9, 6), d.taps(TAPS), [1, 3], [2, 1], [-1, 3, 0, -2], False, 0.5),
    "upfirdn2d separable": lambda d, n: (d.image(n, 3, 4, 6), d.taps(WIDE), [2, 1], [1, 2], [4, 3, 5, 2], False, 2.0),
    "epilogue all": lambda d, n: (d.image(n, 3, 4, 6), *parameters(d, n), "lrelu", 0.2, 1.3, 1.5),
    "epilogue bias": lambda d, n: (d.image(n, 3, 4, 6), None, None, d.small(3), "relu", 0.0, 1.3, -1.0),
    "epilogue noise": lambda d, n: (d.image(n, 3, 4, 6), None, d.small(1, 1, 4, 6), None, "linear", 0.0, 1.0, 1.0),
    "epilogue_backward all": lambda d, n: (*images(d, n, 3), d.small(n, 3), [True] * 3, "lrelu", 0.2, 1.3, 1.5),
    "epilogue_backward two": lambda d, n: (*images(d, n, 3), None, [False, True, True], "relu", 0.0, 1.3, -1.0),
    "convolution": lambda d, n: (d.image(n, 3, 4, 6), d.small(2, 3, 3, 3), 1, 1, False, [0, 0]),
    "convolution strided": lambda d, n: (d.image(n, 3, 4, 6), d.small(2, 3, 3, 3), 2, 0, False, [0, 0]),
    "convolution transposed": lambda d, n: (d.image(n, 3, 4, 6), d.small(3, 2, 3, 3), 2, 0, True, [1, 0]),
    "convolution_weight_gradient": lambda d, n: (d.image(n, 3, 4, 6), d.image(n, 2, 4, 6), [3, 3], 1, 1),
    "convolution_layer all": lambda d, n: (
        *(d.image(n, 3, 4, 6), d.small(2, 3, 3, 3), d.small(n, 3)),
        *(d.small(n, 2), d.small(n, 1, 4, 6), d.small(2)),
        *("lrelu", 0.2, 1.3, 1.5, 1, 1, False),
    ),
    "convolution_layer strided": lambda d, n: (
        *(d.image(n, 3, 5, 7), d.small(2, 3, 3, 3), None, None, None, d.small(2), "relu", 0.0, 1.3, -1.0, 2, 0, False),
    ),
    "pointwise": lambda d, n: (d.image(n, 16, 4, 6), d.small(n, 3, 16), d.memory == "channels_last"),
    "pointwise widening": lambda d, n: (d.image(n, 3, 4, 6), d.small(n, 32, 3), d.memory == "channels_last"),
    "pointwise_weight_gradient": lambda d, n: (d.image(n, 16, 4, 6), d.image(n, 3, 4, 6)),
    "conv2d_resample up": lambda d, n: (d.image(n, 3, 4, 6), weight(d, 3), d.taps(TAPS), 2, 1, [1] * 4),
    "conv2d_resample down": lambda d, n: (d.image(n, 3, 4, 6), weight(d, 1), d.taps(TAPS), 1, 2, [0] * 4),
    "modulated_conv2d": lambda d, n: (
        d.image(n, 3, 4, 6),
        d.small(2, 3, 3, 3),
        d.small(n, 3),
        d.small(4, 6),
        1,
        1,
        [1] * 4,
    ),
}
"""The arguments of an op for a batch of n, by its name and what is special."""
SUMS = ("convolution_weight_gradient", "pointwise_weight_gradient")
"""Sums over a batch: never rounded to less than float32."""
COMPOSED = ("conv2d_resample", "modulated_conv2d")
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 2e-2, torch.float16: 3e-3}

CHECKS = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
THOROUGH = ("bias_act lrelu", "upfirdn2d up", "epilogue all", "modulated_conv2d")
"""The last of the checks traces and compiles, which takes seconds."""

every_case = pytest.mark.parametrize("case", CASES)


def images(draw, n, count):
    return [draw.image(n, 3, 4, 6) for _ in range(count)]


def parameters(draw, n):
    return draw.small(n, 3), draw.small(n, 1, 4, 6), draw.small(3)


def weight(draw, side):
    """A convolution's weight, of three input channels."""
    return draw.numbers(2, 3, side, side, draw.dtype)


def op_of(case):
    return getattr(torch.ops.histoxplain, case.split()[0]).default


def differentiable(arguments):
    return [x.detach().requires_grad_() if is_free(x) else x for x in arguments]


def is_free(x):
    """Whether it is a tensor, and not a filter."""
    return isinstance(x, torch.Tensor) and x.ndim > 0 and not any(torch.equal(x.cpu(), f) for f in (TAPS, WIDE))


def as_list(results):
    return [results] if isinstance(results, torch.Tensor) else list(results)


def truth(case, arguments):
    """The reference in float64."""
    exact = [x.double() if isinstance(x, torch.Tensor) else x for x in arguments]
    with reference_only():
        return as_list(op_of(case)(*exact))


def promised(case, arguments):
    """Shape, type and strides of each result, as told without values."""
    shadow = lambda x: torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device="meta")  # noqa: E731
    results = as_list(op_of(case)(*(shadow(x) if isinstance(x, torch.Tensor) else x for x in arguments)))
    return [described(result) for result in results]


def described(x):
    """Strides of sides of length 1 mean nothing, and so do those of no values at all."""
    strides = [stride for stride, side in zip(x.stride(), x.shape, strict=True) if side != 1 and x.numel()]
    return x.shape, x.dtype, strides


def assert_true(case, arguments):
    results = as_list(op_of(case)(*arguments))
    assert [described(result) for result in results] == promised(case, arguments)
    for result, expected in zip(results, truth(case, arguments), strict=True):
        tolerance = TOLERANCE[arguments[0].dtype] * max(1, expected.abs().max().item() if expected.numel() else 1)
        torch.testing.assert_close(result.double(), expected, atol=tolerance, rtol=tolerance)
    return results


@every_case
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_agrees_with_the_reference_in_float64(case, dtype, kernels, device, rng):
    arguments = CASES[case](Draw(rng, device, dtype, exact=dtype == torch.float64), 2)
    results = assert_true(case, arguments)
    assert results[0].dtype == (torch.promote_types(dtype, torch.float32) if case in SUMS else dtype)


@every_case
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("memory", ["channels_last", "sliced", "permuted", "expanded"])
def test_takes_any_memory_and_keeps_channels_last(case, memory, n, kernels, device, rng):
    arguments = CASES[case](Draw(rng, device, memory=memory), n)
    result = assert_true(case, arguments)[0]
    if memory == "channels_last" and case not in SUMS:
        assert result.is_contiguous(memory_format=torch.channels_last)
    elif not case.startswith(COMPOSED):
        assert result.is_contiguous()


@every_case
def test_an_empty_batch_has_empty_results_and_sums_of_zero(case, kernels, device, rng):
    arguments = CASES[case](Draw(rng, device), 0)
    results = as_list(op_of(case)(*arguments))
    assert [described(result) for result in results] == promised(case, arguments)
    assert len(results[0]) == 0 or case in SUMS
    assert all(not result.any() for result in results)


@every_case
def test_first_and_second_gradients(case, kernels, device, rng):
    arguments = differentiable(CASES[case](Draw(rng, device, torch.float64, exact=True), 2))
    free = [i for i, x in enumerate(arguments) if is_free(x)]

    def run(*tensors):
        given = dict(zip(free, tensors, strict=True))
        results = as_list(op_of(case)(*(given.get(i, x) for i, x in enumerate(arguments))))
        return tuple(result for result in results if result.numel())

    assert gradcheck(run, [arguments[i] for i in free], fast_mode=True)
    assert gradgradcheck(run, [arguments[i] for i in free], fast_mode=True)


@every_case
def test_opcheck(case, kernels, device, rng):
    memory = "channels_last" if kernels == "native" else "contiguous"
    arguments = differentiable(CASES[case](Draw(rng, device, memory=memory), 2))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf", UserWarning)
        opcheck(op_of(case), arguments, test_utils=CHECKS if case in THOROUGH else CHECKS[:3])


def layer(x):
    """Everything public in one function of an image with three channels."""
    weight, styles = torch.ones(3, 3, 3, 3), torch.ones(len(x), 3)
    x = ops.modulated_conv2d(x, weight, styles, padding=1, up=2, resample_filter=TAPS, flip_weight=False)
    x = ops.epilogue(x, noise=torch.ones(16, 16), act="lrelu")
    x = ops.conv2d_resample(x, weight, TAPS, down=2, padding=1)
    return ops.upsample2d(ops.bias_act(x, act="swish"), TAPS)


def op_alone(case):
    """The op as a function of its first image; the others are constants."""
    settings = CASES[case](Draw(torch.Generator().manual_seed(1)), 2)[1:]
    return lambda x: op_of(case)(x[..., :4, :6], *settings)


@pytest.mark.parametrize("name", ["layer", "bias_act lrelu", "upfirdn2d up", "epilogue all"])
def test_a_compiled_graph_computes_the_same(name, kernels, rng):
    function = layer if name == "layer" else op_alone(name)
    x = torch.randn(2, 3, 8, 8, generator=rng, requires_grad=True)
    found = []
    for run in (torch.compile(function, fullgraph=True, backend="aot_eager"), function):
        y = run(x)
        found.append([y, *torch.autograd.grad(y.square().sum(), x)])
    for got, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.skipif(not (which("g++") or which("clang++")), reason="inductor needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
def test_inductor_computes_the_same(rng):
    x = torch.randn(1, 3, 8, 8, generator=rng)

    def run(x):
        return ops.upsample2d(ops.epilogue(x, noise=torch.ones(8, 8), act="lrelu"), TAPS)

    with torch.no_grad():
        torch.testing.assert_close(torch.compile(run, fullgraph=True)(x), run(x))


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
def test_function_transforms_see_through(kernels, rng):
    """Of the same directional derivative: backwards, forwards, and for each image of a batch at once."""
    x, direction = torch.randn(2, 2, 3, 8, 8, generator=rng, dtype=torch.float64)
    wide = lambda x: layer(x.float()).double().square().sum()  # noqa: E731
    (gradient,) = torch.autograd.grad(wide(x.requires_grad_()), x)
    x = x.detach()
    expected = (gradient * direction).sum()
    _, forwards = torch.func.jvp(wide, (x,), (direction,))
    torch.testing.assert_close(forwards, expected, rtol=1e-4, atol=1e-4)
    each = torch.func.vmap(torch.func.grad(lambda image: wide(image[None])))(x)
    torch.testing.assert_close((each * direction).sum(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("function", [ops.bias_act, ops.epilogue])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_what_was_clamped_has_no_gradient(function, dtype, kernels, device):
    x = torch.full((1, 1, 2, 2), 1000.0, dtype=dtype, device=device, requires_grad=True)
    function(x, act="lrelu", clamp=256 * 0.5**0.5).sum().backward()  # bfloat16 and float16 round this limit
    assert not x.grad.any()


def test_without_gradients_nothing_is_recorded(kernels):
    x = torch.ones(1, 2, 4, 4, requires_grad=True)
    with torch.no_grad():
        assert ops.bias_act(x, act="lrelu").grad_fn is None
    assert ops.bias_act(x, act="lrelu").grad_fn is not None


class Silent(torch.autograd.Function):
    """Passes its input on, and no gradient back."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return None


def test_where_no_gradient_comes_none_goes_on(kernels):
    x, kept = torch.ones(1, 2, 4, 4, requires_grad=True), torch.ones(1, 2, 4, 4, requires_grad=True)
    (Silent.apply(ops.epilogue(x)) + kept).sum().backward()
    assert x.grad is None  # and not zeros, computed at full cost
    assert kept.grad is not None


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ops.bias_act(x),
        lambda x: ops.upfirdn2d(x, None),
        lambda x: ops.epilogue(x),
        lambda x: ops.conv2d_resample(x, x[:, :, :1, :1]),
        lambda x: ops.modulated_conv2d(x, x[:, :, :1, :1], x[:, :, 0, 0]),
    ],
)
def test_integers_are_refused(call):
    with pytest.raises(InputError, match=re.escape("`x` must be floating point")):
        call(torch.ones(1, 1, 4, 4, dtype=torch.int64))
