import pytest
import torch
import torch.nn.functional as F

from histoxplain import InputError
from histoxplain.ops import modulated_conv2d

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.mark.parametrize("name", ["fused", "up2_fused", "nodemod"])
def test_matches_reference(name, op_fixtures, check_gradients):
    meta, arrays = op_fixtures(f"modulated_conv2d_{name}")
    run = lambda x, w, s: modulated_conv2d(x, w, s, resample_filter=arrays.get("f"), **meta["kwargs"])  # noqa: E731
    check_gradients(run, [arrays["x"], arrays["w"], arrays["s"]], arrays, atol=3e-5)


def test_equals_the_grouped_convolution_of_the_paper(rng):
    x, w = torch.randn(3, 5, 8, 8, generator=rng), torch.randn(7, 5, 3, 3, generator=rng)
    styles, noise = torch.randn(3, 5, generator=rng), torch.randn(8, 8, generator=rng)
    scaled = w[None] * styles[:, None, :, None, None]
    scaled = scaled / (scaled.square().sum([2, 3, 4], keepdim=True) + 1e-8).sqrt()
    grouped = F.conv2d(x.reshape(1, 15, 8, 8), scaled.reshape(21, 5, 3, 3), padding=1, groups=3).reshape(3, 7, 8, 8)
    y = modulated_conv2d(x, w, styles, noise, padding=1)
    torch.testing.assert_close(y, grouped + noise, atol=1e-5, rtol=1e-4)


def test_demodulation_ignores_the_scale_of_the_weight(rng):
    x, w, s = torch.randn(2, 4, 6, 6), torch.randn(3, 4, 3, 3), torch.rand(2, 4) + 0.5
    torch.testing.assert_close(modulated_conv2d(x, w, s), modulated_conv2d(x, 10 * w, 0.3 * s), atol=1e-4, rtol=1e-4)


def test_bad_styles():
    with pytest.raises(InputError, match=r"shape \(1, 2\)"):
        modulated_conv2d(torch.zeros(1, 2, 4, 4), torch.zeros(3, 2, 1, 1), torch.zeros(1, 3))
