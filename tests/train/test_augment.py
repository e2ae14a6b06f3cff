import json

import numpy as np
import pytest
import torch

from histoxplain import InputError
from histoxplain.ops import setup_filter
from histoxplain.train import AugmentPipe
from histoxplain.train.augment.bands import filter_bank
from histoxplain.train.augment.geometry import SYM6


@pytest.fixture(scope="module", params=["bgc", "imgfilter"])
def fixture(request, shared):
    folder = shared / "fixtures/stylegan2"
    settings = json.loads((folder / "index.json").read_text())[f"augment/{request.param}.npz"]["meta"]["kwargs"]
    arrays = {name: torch.tensor(value) for name, value in np.load(folder / f"augment/{request.param}.npz").items()}
    return AugmentPipe(**settings), arrays


def source_of(name, arrays):
    return arrays["gray" if name.startswith("gray") else "rect" if name.startswith("rect") else "img"]


def test_percentiles_match_reference(fixture):
    pipe, arrays = fixture
    pipe.p.fill_(1)
    names = [name for name in arrays if "pct" in name and not name.startswith("dx")]
    assert len(names) >= 10
    for name in names:
        y = pipe(source_of(name, arrays), debug_percentile=float(name.split("pct")[1]))
        torch.testing.assert_close(y, arrays[name], atol=1e-5, rtol=0)


def test_draws_match_reference(fixture):
    pipe, arrays = fixture
    for name in [name for name in arrays if name.startswith("rng_p")]:
        p, seed = name.removeprefix("rng_p").split("_seed")
        pipe.p.fill_(float(p))
        torch.manual_seed(int(seed))
        torch.testing.assert_close(pipe(arrays["img"]), arrays[name], atol=1e-5, rtol=0)


def test_gradients_match_reference(fixture):
    pipe, arrays = fixture
    pipe.p.fill_(1)
    x = arrays["img"].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(pipe(x, debug_percentile=0.6), x, arrays["dy"])
    torch.testing.assert_close(gradient, arrays["dx_pct0.6"], atol=1e-5, rtol=0)


def test_filters_match_reference(shared):
    expected = np.load(shared / "fixtures/stylegan2/augment/filters.npz")
    np.testing.assert_allclose(setup_filter(SYM6), expected["Hz_geom"], atol=1e-7)
    np.testing.assert_allclose(filter_bank(), expected["Hz_fbank"], atol=1e-7)


@pytest.mark.parametrize("channels", [1, 3])
def test_xflip_and_quarter_turns_are_exact_inside(channels):
    y, x = torch.meshgrid(torch.linspace(0, 3, 48), torch.linspace(0, 5, 48), indexing="ij")
    x = torch.sin(x + 0.5 * y).expand(2, channels, 48, 48)
    inner = (..., slice(8, -8), slice(8, -8))
    flipped = AugmentPipe(xflip=1)(x, debug_percentile=0.75)
    torch.testing.assert_close(flipped[inner], x.flip(3)[inner], atol=0.02, rtol=0)
    turned = AugmentPipe(rotate90=1)(x, debug_percentile=0.3)
    nearest = min((turned[inner] - x.rot90(k, (2, 3))[inner]).abs().max() for k in (1, 3))
    assert nearest < 0.02


def test_p_zero_changes_nothing_but_noise_of_resampling(rng):
    x = torch.rand(2, 3, 32, 32, generator=rng)
    pipe = AugmentPipe(brightness=1, contrast=1, hue=1, noise=1, cutout=1, imgfilter=1)
    pipe.p.fill_(0)
    torch.testing.assert_close(pipe(x), x, atol=1e-5, rtol=0)


def test_cutout_blanks_a_quarter_in_the_middle():
    y = AugmentPipe(cutout=1)(torch.ones(1, 1, 16, 16), debug_percentile=0.5)
    assert y.sum() == 16 * 16 - 8 * 8
    assert y[0, 0, 4:12, 4:12].abs().max() == 0


def test_same_generator_same_images(rng):
    x = torch.rand(2, 3, 16, 16)
    draw = lambda: AugmentPipe(xint=1, hue=1, noise=1)(x, generator=torch.Generator().manual_seed(3))  # noqa: E731
    assert torch.equal(draw(), draw())


def test_refuses_uint8():
    with pytest.raises(InputError, match="floating point"):
        AugmentPipe(xflip=1)(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
