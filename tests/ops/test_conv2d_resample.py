import pytest
import torch
import torch.nn.functional as F

from histoxplain import InputError
from histoxplain.ops import conv2d_resample, setup_filter, upfirdn2d

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.mark.parametrize("name", ["conv2d_resample_up2_k3", "conv2d_resample_down2_k3"])
def test_matches_reference(name, op_fixtures, check_gradients):
    meta, arrays = op_fixtures(name)
    run = lambda x, w: conv2d_resample(x, w, arrays["f"], **meta["kwargs"])  # noqa: E731
    check_gradients(run, [arrays["x"], arrays["w"]], arrays)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("flip_weight", [True, False])
def test_every_shortcut_equals_the_definition(kernel, up, down, groups, flip_weight, rng):
    x = torch.randn(2, 4, 8, 10, generator=rng)
    w = torch.randn(6, 4 // groups, kernel, kernel, generator=rng)
    f = setup_filter([1, 3, 3, 1])
    y = conv2d_resample(x, w, f, up, down, kernel // 2, groups, flip_weight)
    pads = [kernel // 2] * 4
    if up > 1:
        pads = [pad + extra for pad, extra in zip(pads, (2, 1, 2, 1))]
    if down > 1:
        pads = [pad + extra for pad, extra in zip(pads, (1, 1, 1, 1))]
    plain = upfirdn2d(x, f if up > 1 else None, up=up, padding=pads, gain=up**2)
    plain = F.conv2d(plain, w if flip_weight else w.flip([2, 3]), groups=groups)
    plain = upfirdn2d(plain, f if down > 1 else None, down=down)
    torch.testing.assert_close(y, plain, atol=1e-4, rtol=1e-4)
    assert y.shape == (2, 6, 8 * up // down, 10 * up // down)


def test_bad_weight():
    with pytest.raises(InputError, match="2 input channels"):
        conv2d_resample(torch.zeros(1, 2, 4, 4), torch.zeros(3, 5, 3, 3))
