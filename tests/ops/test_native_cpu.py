"""The C++ kernels against their references in float64: every way through them that depends on sizes and layout.

In bfloat16 the result may differ by its one rounding, which is at most 2^-8 of it; sums are float32.
"""

import pytest
import torch

from histoxplain import ops
from histoxplain.ops._library import is_native, reference_only

pytestmark = pytest.mark.skipif(not is_native("bias_act"), reason="there are no native kernels here")
OPS = torch.ops.histoxplain
FORMATS = [torch.contiguous_format, torch.channels_last]
TYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]
ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 2**-8, torch.float16: 2**-11, torch.float64: 1e-12}
CHANNELS = [1, 3, 16, 40, 64, 130]  # fewer than a vector, whole ones, and with a rest; more than sums fit registers
SETTINGS = ("lrelu", 0.2, 1.4, 1.5)


@pytest.fixture
def image(rng):
    def draw(n, c, height, width, dtype, memory):
        x = torch.randn(n, c, height, width, generator=rng).to(dtype)
        return x.contiguous(memory_format=memory)

    return draw


def exact(op, *arguments):
    """What the reference makes of the same numbers in float64."""
    wide = [x.double() if isinstance(x, torch.Tensor) else x for x in arguments]
    with reference_only():
        return op(*wide)


def assert_rounded_once(got, expected, dtype, memory):
    torch.testing.assert_close(got.double(), expected, rtol=ROUNDING[dtype] + 1e-5, atol=1e-5)
    assert got.dtype == dtype
    assert got.is_contiguous(memory_format=memory)


@pytest.mark.parametrize("memory", FORMATS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("c", CHANNELS)
def test_bias_act(c, dtype, memory, image, rng):
    x, dy = image(2, c, 5, 7, dtype, memory), image(2, c, 5, 7, dtype, memory)
    b = torch.randn(c, generator=rng)
    y = OPS.bias_act(x, b, 1, *SETTINGS)
    assert_rounded_once(y, exact(OPS.bias_act, x, b, 1, *SETTINGS), dtype, memory)
    dx = OPS.bias_act_backward(dy, y, 1, *SETTINGS)
    assert_rounded_once(dx, exact(OPS.bias_act_backward, dy, y, 1, *SETTINGS), dtype, memory)


@pytest.mark.parametrize("memory", FORMATS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("c", CHANNELS)
def test_epilogue_and_its_gradients(c, dtype, memory, image, rng):
    x, dy = image(3, c, 9, 11, dtype, memory), image(3, c, 9, 11, dtype, memory)
    scale, b = torch.randn(3, c, generator=rng), torch.randn(c, generator=rng)
    for noise in (torch.randn(1, 1, 9, 11, generator=rng), torch.randn(3, 1, 9, 11, generator=rng)):
        y = OPS.epilogue(x, scale, noise, b, *SETTINGS)
        assert_rounded_once(y, exact(OPS.epilogue, x, scale, noise, b, *SETTINGS), dtype, memory)
    found = OPS.epilogue_backward(dy, x, y, scale, [True] * 3, *SETTINGS)
    expected = exact(OPS.epilogue_backward, dy, x, y, scale, [True] * 3, *SETTINGS)
    assert_rounded_once(found[0], expected[0], dtype, memory)
    for got, sums in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(got.double(), sums, rtol=1e-4, atol=1e-4)


def back_through_layer(dy, x, w, style):
    dx, dstyle = torch.empty_like(x), torch.empty(style.shape)
    OPS.tiled_layer_backward(dy, w, 1, True, style, x, dx, dstyle)
    return dx, dstyle


@pytest.mark.parametrize("op", ["filter", "epilogue", "weight in tiles", "weight tap by tap", "layer"])
def test_whoever_computes_what_results_are_the_same(op, image, rng):
    x, dy = (image(5, 48, 33, 31, torch.bfloat16, torch.channels_last) for _ in range(2))
    w, style = torch.randn(48, 48, 3, 3, generator=rng), torch.randn(5, 48, generator=rng)
    f = torch.tensor([1.0, 3.0, 3.0, 1.0])
    run = {
        "filter": lambda: [OPS.upfirdn2d(x, f, [1, 1], [1, 1], [2, 1, 2, 1], False, 1.0)],
        "epilogue": lambda: OPS.epilogue_backward(dy, x, x, None, [True] * 3, *SETTINGS),
        "weight in tiles": lambda: [OPS.convolution_weight_gradient(x, dy, [3, 3], 1, 1)],
        "weight tap by tap": lambda: [OPS.convolution_weight_gradient(x, dy, [1, 1], 1, 0)],
        "layer": lambda: back_through_layer(dy, x, w, style),
    }[op]
    found = {}
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        found[threads], *again = (list(run()) for _ in range(4))
        assert all(torch.equal(*pair) for other in again for pair in zip(found[threads], other, strict=True))
    for threads in (2, 5):
        torch.testing.assert_close(found[threads], found[1], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("memory", FORMATS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("c", [3, 16, 20, 48])
@pytest.mark.parametrize("taps", ["4 x 4", "2 x 2", "3 x 5", "separable 12"])
def test_upfirdn2d(taps, c, dtype, memory, image, rng):
    f = {
        "4 x 4": ops.setup_filter([1, 3, 3, 1]),
        "2 x 2": ops.setup_filter([1, 2]),
        "3 x 5": torch.randn(3, 5, generator=rng),  # of rank 3, so not separable
        "separable 12": torch.randn(12, generator=rng),
    }[taps]
    x = image(2, c, 13, 15, dtype, memory)
    for up, down, padding in [
        ((1, 1), (1, 1), (2, 2, 2, 2)),
        ((2, 2), (1, 1), (2, 1, 2, 1)),
        ((1, 1), (2, 2), (1, 1, 1, 1)),
        ((3, 1), (2, 3), (9, -2, -1, 7)),
        ((2, 4), (4, 2), (0, 0, 5, 5)),
    ]:
        arguments = (x, f, up, down, padding, True, 1.5)
        y = OPS.upfirdn2d(*arguments)
        assert_rounded_once(y, exact(OPS.upfirdn2d, *arguments), dtype, memory)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [(1, 2), (4, 4), (11, 70)])
@pytest.mark.parametrize("padding", [(2, 2, 2, 2), (3, 0, 1, 5), (-1, 4, 6, -1)])
def test_four_taps_without_symmetry(padding, size, dtype, image, rng):
    f = torch.outer(torch.randn(4, generator=rng), torch.randn(4, generator=rng))
    x = image(2, 32, *size, dtype, torch.channels_last)
    for flip in (True, False):
        arguments = (x, f, (1, 1), (1, 1), padding, flip, 4.0)
        y = OPS.upfirdn2d(*arguments)
        torch.testing.assert_close(y.double(), exact(OPS.upfirdn2d, *arguments), rtol=ROUNDING[dtype] + 1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("n", "c", "out", "side"), [(2, 5, 7, 9), (3, 16, 40, 10), (1, 70, 3, 6), (2, 8, 32, 67)])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 0), (1, 1, 0), (4, 3, 2)])
def test_weight_gradient(n, c, out, side, kernel, stride, padding, dtype, image):
    x = image(n, c, side, side + 1, dtype, torch.channels_last)
    sides = [(length + 2 * padding - kernel) // stride + 1 for length in (side, side + 1)]
    dy = image(n, out, *sides, dtype, torch.channels_last)
    arguments = (x, dy, [kernel] * 2, stride, padding)
    dw = OPS.convolution_weight_gradient(*arguments)
    expected = exact(OPS.convolution_weight_gradient, *arguments)
    assert dw.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(dw.double(), expected, rtol=1e-4, atol=1e-3)


def test_weight_gradient_of_an_odd_batch_pairs_no_image_with_memory_beyond(image):
    x = image(3, 8, 4, 4, torch.bfloat16, torch.channels_last)
    dy = image(3, 32, 4, 4, torch.bfloat16, torch.channels_last)
    part = lambda first, end: OPS.convolution_weight_gradient(x[first:end], dy[first:end], [3, 3], 1, 1)  # noqa: E731
    torch.testing.assert_close(part(0, 3), part(0, 1) + part(1, 2) + part(2, 3))
    torch.testing.assert_close(part(0, 3), part(0, 2) + part(2, 3))


@pytest.mark.parametrize("memory", FORMATS)
def test_bfloat16_rounds_to_nearest_even_and_keeps_what_is_not_finite(memory):
    values = torch.tensor(
        [1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 3.4e38, float("inf"), -float("inf"), float("nan"), 0.0]
    )
    x = torch.ones(1, 8, 1, 2, dtype=torch.bfloat16).contiguous(memory_format=memory)
    y = OPS.epilogue(x, values[None], None, None, "linear", 0.0, 1.0, -1.0)
    expected = values.to(torch.bfloat16)[None, :, None, None].expand(1, 8, 1, 2)
    torch.testing.assert_close(y, expected.contiguous(memory_format=memory), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("act", ["linear", "relu", "lrelu"])
def test_activations_of_what_is_not_finite(act):
    x = torch.tensor([float("inf"), -float("inf"), float("nan"), -0.0, 1.0]).repeat(8).reshape(1, 1, 8, 5)
    torch.testing.assert_close(
        OPS.bias_act(x, None, 1, act, 0.2, 1.0, 2.0),
        exact(OPS.bias_act, x, None, 1, act, 0.2, 1.0, 2.0).float(),
        equal_nan=True,
    )


def test_a_filter_that_leaves_nothing_is_refused():
    with pytest.raises(RuntimeError, match="leave at least one sample"):
        OPS.upfirdn2d(torch.zeros(1, 1, 2, 2), torch.ones(3, 3), [1, 1], [1, 1], [0, 0, 0, 0], False, 1.0)


@pytest.mark.parametrize("taps", [[1, 3, 3, 1], [[1, 2], [2, 1]]])  # a product of two filters, and none
@pytest.mark.parametrize("memory", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_filtered_images_are_added_to_others_as_they_would_be_after(dtype, memory, taps, image):
    f, how = ops.setup_filter(torch.tensor(taps, dtype=torch.float32)), ([2, 2], [1, 1], [2, 1, 2, 1], True, 1.0)
    x = image(2, 48, 5, 6, dtype, memory)
    made = OPS.upfirdn2d(x, f, *how)
    y = image(*made.shape, dtype, memory)
    expected = y + made
    OPS.upfirdn2d_add_(y, x, f, *how)
    assert torch.equal(y, expected)
