"""The CUDA kernels against their references: on a GPU where there is one, and everywhere with the launch emulated."""

from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from histoxplain import ops
from histoxplain.ops import ACTIVATIONS, _build, _library, _toolchain

KERNELS = ("bias_act", "bias_act_backward", "upfirdn2d", "epilogue", "epilogue_backward")
ROUNDING = {torch.float64: 1e-13, torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}
DTYPES = pytest.mark.parametrize("dtype", ROUNDING, ids=lambda dtype: str(dtype).removeprefix("torch."))
SHAPES = ((2, 3, 5, 7), (3, 16, 4, 6), (1, 8, 1, 1), (2, 40, 9, 33))
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="session")
def emulated(tmp_path_factory):
    """The kernels' sources as plain C++: all of their code but the launch. A misaligned load ends the process."""
    try:
        compiler = _toolchain.host_compiler()
    except _toolchain.BuildError as missing:
        pytest.skip(str(missing))
    library = torch.library.Library("histoxplain_emulated", "DEF")
    for name in KERNELS:
        library.define(str(getattr(torch.ops.histoxplain, name).default._schema).removeprefix("histoxplain::"))
    includes = ("-isystem", str(_toolchain.TORCH / "include"), "-I", str(Path(__file__).parent))
    strict = ("-fsanitize=alignment,bounds,signed-integer-overflow", "-fsanitize-undefined-trap-on-error")
    flags = (*_toolchain.ANY, "-O1", "-fPIC", *strict, *includes, "-x", "c++")
    link = ("-shared", "-L", str(_toolchain.TORCH / "lib"), "-ltorch_cpu")
    tools = _toolchain.Toolchain(compiler, flags, link, "")
    built = _build.compile_with_ninja(tmp_path_factory.mktemp("cuda"), tools, _build.sources("cuda"))
    torch.ops.load_library(built)
    yield torch.ops.histoxplain_emulated
    library._destroy()


@pytest.fixture(params=["emulated", pytest.param("cuda", marks=needs_gpu)])
def device(request):
    """Where the public ops run the CUDA kernels."""
    if request.param == "cuda":
        assert all(_library.is_native(name, "cuda") for name in KERNELS)
        yield "cuda"
    else:
        with on_the_cpu(request.getfixturevalue("emulated")):
            yield "cpu"


@contextmanager
def on_the_cpu(kernels):
    with torch.library._scoped_library("histoxplain", "IMPL") as override:
        for name in KERNELS:
            override.impl(name, getattr(kernels, name).default, "CPU", allow_override=True)
        yield


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last)


def transposed(x):
    return x.transpose(2, 3).contiguous().transpose(2, 3)


def sliced(x):
    wide = x.repeat_interleave(2, dim=3).repeat_interleave(2, dim=1)
    return wide[:, ::2, :, ::2]


def misaligned(x):
    return torch.cat([x.new_zeros(1), x.flatten()])[1:].view_as(x)


def misaligned_channels_last(x):
    return misaligned(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


LAYOUTS = {
    f.__name__: f
    for f in (torch.Tensor.contiguous, channels_last, transposed, sliced, misaligned, misaligned_channels_last)
}


def compare(f, x, parameters, dtype, device, layout="contiguous", slack=1.0):
    """Values and first gradients of `f` on the kernels against its reference in float64."""
    given = [p.to(device, torch.promote_types(dtype, p.dtype)) for p in parameters]
    given = [p.requires_grad_() for p in (LAYOUTS[layout](x.to(device, dtype)), *given)]
    y = f(*given)
    assert y.dtype == dtype
    assert y.is_contiguous(memory_format=_library.layout(given[0]))
    dy = LAYOUTS[layout](torch.linspace(-1, 1, y.numel()).reshape(y.shape).to(device, dtype))
    got = torch.autograd.grad(y, given, dy)
    with ops.reference_only():
        exact = [x.detach().cpu().double().requires_grad_() for x in given]
        truth = f(*exact)
        gradients = torch.autograd.grad(truth, exact, dy.cpu().double())
    for mine, theirs in zip((y, *got), (truth, *gradients), strict=True):
        scale = max(1.0, theirs.abs().max().item() if theirs.numel() else 0.0)
        tolerance = 4 * slack * ROUNDING[dtype] * scale
        torch.testing.assert_close(mine.cpu().double(), theirs, rtol=0, atol=tolerance)


@DTYPES
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_bias_act(act, dtype, device, rng):
    clamp = 0.8 if dtype.itemsize > 2 else None  # where a rounded result meets the clamp is tested below
    for shape, layout in zip(SHAPES, ("contiguous", "channels_last", "contiguous", "channels_last")):
        x, b = torch.randn(shape, generator=rng), torch.randn(shape[1], generator=rng)
        run = lambda x, b: ops.bias_act(x, b, act=act, alpha=0.3, gain=1.5, clamp=clamp)  # noqa: E731
        compare(run, x, [b], dtype, device, layout)
    compare(lambda x: ops.bias_act(x, act=act), x, [], dtype, device)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bias_act_wherever_the_values_lie(layout, device, rng):
    x, b = torch.randn(2, 16, 4, 8, generator=rng), torch.randn(33, generator=rng)
    for parameter in (b[:16], b[1:17], b[::2][:16]):
        compare(lambda x, b: ops.bias_act(x, b, act="lrelu"), x, [parameter], torch.float32, device, layout)


@pytest.mark.parametrize(("shape", "dim"), [((6, 8), 1), ((6, 8), 0), ((5, 7), -1), ((12,), 0), ((2, 3, 8, 5, 4), 2)])
def test_bias_act_along_any_axis(shape, dim, device, rng):
    x, b = torch.randn(shape, generator=rng, device="cpu"), torch.randn(shape[dim], generator=rng)
    compare(lambda x, b: ops.bias_act(x, b, dim, "swish"), x, [b], torch.float32, device)


FILTERS = {"4x4": (4, 4), "4": (4,), "3x5": (3, 5), "12": (12,), "1x1": (1, 1)}


@DTYPES
@pytest.mark.parametrize("taps", FILTERS)
@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (1, 2), (2, 2), ((3, 1), (1, 2))])
def test_upfirdn2d(up, down, taps, dtype, device, rng):
    f = torch.randn(FILTERS[taps], generator=rng)
    for shape in ((2, 3, 17, 35), (1, 40, 20, 13), (2, 12, 9, 6)):
        for pad in ((6, 5, 6, 5), (7, 7, 4, 4), (-2, 12, 12, -3)):
            run = lambda x, pad=pad: ops.upfirdn2d(x, f.to(x.device), up, down, pad, pad[0] == 7, 2.0)  # noqa: E731
            x, layout = torch.randn(shape, generator=rng), ("contiguous", "channels_last")[shape[1] > 3]
            compare(run, x, [], dtype, device, layout, slack=4)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("taps", ["4x4", "3x5"])
def test_upfirdn2d_wherever_the_values_lie(taps, layout, device, rng):
    x, f = torch.randn(2, 16, 5, 9, generator=rng), torch.randn(FILTERS[taps][::-1], generator=rng).T
    compare(lambda x: ops.upsample2d(x, f.to(x.device)), x, [], torch.float32, device, layout, slack=4)


@DTYPES
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("act", ["linear", "relu", "lrelu"])
def test_epilogue(act, layout, dtype, device, rng):
    clamp = 2.5 if dtype.itemsize > 2 else None
    for (n, c, h, w), noises in zip(SHAPES, (1, 3, 1, 2)):
        shapes = ((n, c), (noises, 1, h, w), (c,))
        parameters = [torch.randn(shape, generator=rng) for shape in shapes]
        x = torch.randn(n, c, h, w, generator=rng)
        compare(lambda *t: ops.epilogue(*t, act, 0.3, 1.5, clamp), x, parameters, dtype, device, layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("present", [(), (0,), (1,), (2,), (0, 2)])
def test_epilogue_with_what_is_there(present, layout, device, rng):
    parameters = [torch.randn(shape, generator=rng) for shape in ((2, 16), (2, 1, 5, 8), (16,))]

    def run(x, *some):
        places = dict(zip(present, some, strict=True))
        return ops.epilogue(x, *(places.get(i) for i in range(3)), "lrelu")

    x = torch.randn(2, 16, 5, 8, generator=rng)
    compare(run, x, [parameters[i] for i in present], torch.float32, device, layout)


def test_second_gradients(device, rng):
    x = torch.randn(2, 3, 4, 5, generator=rng, dtype=torch.float64).to(device).requires_grad_()
    scale, noise, b = (torch.randn(s, generator=rng).double().to(device) for s in ((2, 3), (1, 1, 4, 5), (3,)))
    parameters = [p.requires_grad_() for p in (scale, noise, b)]
    f = torch.randn(4, 4, generator=rng).to(device)
    for run, inputs in (
        (lambda x, b: ops.bias_act(x, b, act="softplus", clamp=1.5), (x, parameters[2])),
        (lambda *t: ops.epilogue(*t, "lrelu", clamp=2), (x, *parameters)),
        (lambda x: ops.upsample2d(x, f), (x,)),
        (lambda x: ops.downsample2d(x, f), (x,)),
    ):
        assert gradcheck(run, inputs)
        assert gradgradcheck(run, inputs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_clamp_that_rounds_down_still_stops_the_gradient(dtype, device):
    """181.02 is the clamp of a residual branch; its nearest number with 8 bits of mantissa is 181."""
    x = torch.tensor([100.0, 500.0, -500.0], device=device).to(dtype).reshape(1, 3, 1, 1)
    for act in ("linear", "swish"):
        y = x.clone().requires_grad_()
        ops.bias_act(y, act=act, gain=1, clamp=256 * 0.5**0.5).sum().backward()
        assert y.grad.flatten().tolist() == [1, 0, 0]
    y = x.clone().requires_grad_()
    ops.epilogue(y, clamp=256 * 0.5**0.5).sum().backward()
    assert y.grad.flatten().tolist() == [1, 0, 0]


@pytest.mark.parametrize("act", ["relu", "lrelu"])
def test_what_is_not_a_number_stays_so(act, device):
    x = torch.tensor([[float("nan"), -float("inf"), float("inf")]], device=device)
    expected = torch.tensor([[float("nan"), 0.0 if act == "relu" else -float("inf"), float("inf")]])
    torch.testing.assert_close(ops.bias_act(x, act=act).cpu(), expected, equal_nan=True)
    assert ops.bias_act(x, act=act, clamp=2)[0, 0].isnan()


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4)])
def test_nothing_in_nothing_out(shape, device):
    x = torch.zeros(shape, device=device, requires_grad=True)
    scale, noise, b = (torch.ones(s, device=device, requires_grad=True) for s in (shape[:2], (1, 1, 4, 4), shape[1:2]))
    y = ops.epilogue(ops.bias_act(x, b, act="lrelu"), scale, noise, b)
    y = ops.upsample2d(y, torch.ones(4, 4, device=device))
    assert y.shape == (*shape[:2], 8, 8)
    y.sum().backward()
    assert x.grad.shape == shape
    assert noise.grad.abs().sum() == b.grad.abs().sum() == 0


def test_other_types_are_refused(device):
    x = torch.zeros(1, 1, 4, 4, dtype=torch.int32, device=device)
    with pytest.raises(RuntimeError, match="upfirdn2d takes float32, float16, bfloat16 or float64, got Int"):
        torch.ops.histoxplain.upfirdn2d(x, torch.ones(1, 1, device=device), [1, 1], [1, 1], [0] * 4, False, 1.0)


def far_apart(device):
    """Two images whose memory is more than 2^31 elements apart; untouched pages cost nothing on a CPU."""
    try:
        memory = torch.empty(2**31 + 4096, dtype=torch.bfloat16, device=device)
    except RuntimeError as error:
        pytest.skip(f"no room for 4 GB: {error}")
    return memory.as_strided((2, 8, 8, 8), (2**31 + 1024, 64, 8, 1))


@pytest.mark.parametrize("taps", [(4, 4), (3, 3)])
def test_addresses_beyond_32_bits(taps, device, rng):
    near = torch.randn(2, 8, 8, 8, generator=rng).to(device, torch.bfloat16)
    far, f = far_apart(device).copy_(near), torch.randn(taps, generator=rng).to(device)
    assert torch.equal(ops.filter2d(far, f), ops.filter2d(near, f))


@needs_gpu
def test_more_elements_than_32_bits_count():
    if torch.cuda.mem_get_info()[0] < 24 << 30:
        pytest.skip("needs 24 GB of GPU memory")
    one = torch.ones((), dtype=torch.float16, device="cuda")
    x = one.expand(2, 1, 2**15, 2**15 + 8)
    expected = torch.full((3,), 3.0)
    for run in (
        lambda: ops.bias_act(x, 2 * one[None]),
        lambda: ops.epilogue(x, scale=one.expand(2, 1), b=2 * one[None]),
        lambda: ops.upfirdn2d(x, 3 * one.float().expand(1, 1)),
        lambda: ops.filter2d(x, one.float().expand(4, 4) * 3 / 16),
    ):
        y = run()
        assert y.shape == x.shape
        torch.testing.assert_close(torch.stack([y[0, 0, 9, 9], y[1, 0, 9, 9], y[1, 0, -9, -9]]).float().cpu(), expected)
        del y


@needs_gpu
def test_sums_are_the_same_every_time(rng):
    x = torch.randn(4, 64, 65, 63, generator=rng).cuda()
    parameters = [torch.randn(s, generator=rng).cuda().requires_grad_() for s in ((4, 64), (1, 1, 65, 63), (64,))]
    y = ops.epilogue(x, *parameters, "lrelu")
    first, second = (torch.autograd.grad(y.square().sum(), parameters, retain_graph=True) for _ in range(2))
    assert all(map(torch.equal, first, second))


@needs_gpu
def test_other_streams_and_devices(rng):
    x = torch.randn(2, 8, 64, 64, generator=rng)
    expected = ops.bias_act(x, act="lrelu")
    for place in range(torch.cuda.device_count()):
        with torch.cuda.stream(torch.cuda.Stream(place)):
            y = ops.bias_act(x.to(f"cuda:{place}"), act="lrelu")
            torch.testing.assert_close(y.cpu(), expected)
