import numpy as np
import pytest
import torch
from scipy import signal
from torch.autograd import gradcheck, gradgradcheck

from histoxplain import InputError, ops

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.mark.parametrize(
    ("name", "op"),
    [
        ("upfirdn2d_up2", "upfirdn2d"),
        ("upfirdn2d_down2", "upfirdn2d"),
        ("upfirdn2d_crop", "upfirdn2d"),
        ("upsample2d", "upsample2d"),
        ("downsample2d", "downsample2d"),
    ],
)
def test_matches_reference(name, op, op_fixtures, check_gradients):
    meta, arrays = op_fixtures(name)
    check_gradients(lambda x: getattr(ops, op)(x, arrays["f"], **meta["kwargs"]), [arrays["x"]], arrays)


def by_scipy(image, taps, up, down, pad):
    """Zero insertion, padding, convolution and decimation, one image, with scipy."""
    spread = np.zeros([side * up for side in image.shape])
    spread[::up, ::up] = image
    x0, x1, y0, y1 = pad
    spread = np.pad(spread, [(max(y0, 0), max(y1, 0)), (max(x0, 0), max(x1, 0))])
    spread = spread[max(-y0, 0) : len(spread) - max(-y1, 0), max(-x0, 0) : spread.shape[1] - max(-x1, 0)]
    return signal.convolve2d(spread, taps, mode="valid")[::down, ::down]


@pytest.mark.parametrize("up", [1, 2, 3])
@pytest.mark.parametrize("down", [1, 2, 3])
@pytest.mark.parametrize("pad", [(0, 0, 0, 0), (2, 1, 2, 1), (3, 3, 1, 1), (-1, 2, 0, -1)])
def test_agrees_with_scipy(up, down, pad):
    draw = np.random.default_rng(up * 10 + down)
    image, taps = draw.normal(size=(9, 11)), draw.normal(size=(4, 3))
    f = torch.tensor(taps, dtype=torch.float32)
    y = ops.upfirdn2d(torch.tensor(image, dtype=torch.float32)[None, None], f, up, down, pad)
    np.testing.assert_allclose(y[0, 0], by_scipy(image, taps, up, down, pad), atol=1e-5)


def test_separable_filter_equals_its_outer_product(rng):
    x, f = torch.randn(2, 3, 10, 12, generator=rng), ops.setup_filter(torch.randn(9, generator=rng), normalize=False)
    assert f.ndim == 1
    kwargs = {"up": 2, "down": 3, "padding": (5, 4, 5, 4), "gain": 3}
    torch.testing.assert_close(ops.upfirdn2d(x, f, **kwargs), ops.upfirdn2d(x, torch.outer(f, f), **kwargs))


def test_flip_filter_correlates(rng):
    x, f = torch.randn(1, 1, 6, 6, generator=rng), torch.randn(3, 3, generator=rng)
    torch.testing.assert_close(ops.upfirdn2d(x, f, flip_filter=True), ops.upfirdn2d(x, f.flip([0, 1])))


def test_gradients(rng):
    x = torch.randn(1, 2, 5, 4, generator=rng, dtype=torch.float64, requires_grad=True)
    f = ops.setup_filter([1, 2, 3])
    run = lambda x: ops.upfirdn2d(x, f, up=2, down=3, padding=(1, 2, 0, 1))  # noqa: E731
    assert gradcheck(run, (x,))
    assert gradgradcheck(run, (x,))


def test_a_filter_can_be_learnt(rng):
    x = torch.randn(1, 2, 5, 4, generator=rng)
    f = torch.randn(3, 3, generator=rng, requires_grad=True)
    (gradient,) = torch.autograd.grad(ops.upfirdn2d(x, f, flip_filter=True).sum(), f)
    windows = [[x[:, :, i : i + 3, j : j + 2].sum() for j in range(3)] for i in range(3)]
    torch.testing.assert_close(gradient, torch.tensor(windows))


@pytest.mark.parametrize("resample", [ops.upsample2d, ops.downsample2d, ops.filter2d])
def test_a_constant_stays_constant_inside(resample):
    y = resample(torch.full((1, 2, 16, 16), 0.7), ops.setup_filter([1, 3, 3, 1]))
    torch.testing.assert_close(y[:, :, 3:-3, 3:-3], torch.full_like(y[:, :, 3:-3, 3:-3], 0.7))


def test_setup_filter_matches_reference(shared):
    expected = np.load(shared / "fixtures/stylegan2/ops/setup_filter.npz")
    np.testing.assert_allclose(ops.setup_filter([1, 3, 3, 1]), expected["f1331"])
    np.testing.assert_allclose(ops.setup_filter(None), expected["none"])


@pytest.mark.parametrize(
    ("x", "settings", "says"),
    [
        (torch.zeros(3, 4, 4), {}, "N, C, H, W"),
        (torch.zeros(1, 1, 4, 4), {"padding": (1, 2, 3)}, "one, two or four"),
        (torch.zeros(1, 1, 4, 4), {"padding": -2}, "leave"),
    ],
)
def test_bad_input(x, settings, says):
    with pytest.raises(InputError, match=says):
        ops.upfirdn2d(x, ops.setup_filter([1, 2, 1]), **settings)
