"""The packed layers against the ops that say what they compute, at sizes where work is divided in every way."""

import pytest
import torch

from histoxplain.ops import bias_act, modulated_conv2d, packed, setup_filter, upsample2d


@pytest.fixture(autouse=True)
def _native():
    if not packed.load():
        pytest.skip("no compiler: there are no native kernels")


def both(images, into, out, side, up, dtype, rng, tile=2, clamp=-1.0):
    """A layer as it is packed, and as ops compute it in float64."""
    x = torch.randn(images, into, *side, generator=rng).to(dtype)
    w, b = torch.randn(out, into, 3, 3, generator=rng), torch.randn(out, generator=rng)
    s = torch.randn(images, into, generator=rng) + 1
    f = setup_filter([1, 2, 4, 3])
    noise = torch.randn(images, side[0] * up, side[1] * up, generator=rng)
    planes = packed.bordered(x, dtype)
    got = torch.full((images, side[0] * up + 2, side[1] * up + 2, packed.filled(out)), torch.nan, dtype=dtype)
    workspace = torch.full((packed.room(planes, w, up, tile),), torch.nan, dtype=dtype)
    taps = packed.separate(f) * 2 if up == 2 else None
    packed.synthesis_layer(
        planes, w, packed.fill(s), noise, packed.fill(b), taps, tile, 0.2, 2.0, clamp, workspace, got
    )
    x, w, s, b = (t.double() for t in (x, w, s, b))
    expected = modulated_conv2d(x, w, s, noise[:, None].double(), up, 1, 1, f, flip_weight=up == 1)
    return got, bias_act(expected, b, act="lrelu", gain=2, clamp=None if clamp < 0 else clamp)


SIZES = [
    (1, 16, 16, (4, 4), 1),
    (3, 24, 40, (8, 8), 1),
    (2, 48, 33, (5, 29), 1),
    (2, 20, 12, (32, 32), 1),
    (1, 256, 48, (40, 37), 1),
    (1, 16, 16, (4, 4), 2),
    (3, 24, 40, (8, 8), 2),
    (2, 20, 12, (7, 33), 2),
    (1, 40, 64, (96, 96), 2),
    (5, 16, 32, (70, 64), 2),
    (2, 16, 16, (33, 1), 2),
    (3, 32, 48, (36, 20), 2),
    (1, 16, 16, (1, 2), 1),
]


# Largest errors per deviation of what is computed. float32 rounds sums of thousands of products; bfloat16 rounds
# weights, products with styles and the result. Tiles round differences of neighbours, those of 4 also multiples.
ERRORS = {
    (torch.float32, 1, 2): 1e-5,
    (torch.float32, 1, 4): 5e-5,
    (torch.float32, 2, 2): 5e-6,
    (torch.float32, 2, 4): 1e-5,
    (torch.bfloat16, 1, 2): 0.04,
    (torch.bfloat16, 1, 4): 0.25,
    (torch.bfloat16, 2, 2): 0.04,
    (torch.bfloat16, 2, 4): 0.08,
}
CASES = [(size, tile) for size in SIZES for tile in (2, 4)]


@pytest.mark.parametrize(("size", "tile"), CASES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_layer_computes_what_the_ops_do(size, tile, dtype, rng):
    _, _, out, (height, width), up = size
    got, expected = both(*size, dtype, rng, tile)
    inside = got[:, 1:-1, 1:-1, :out].permute(0, 3, 1, 2).double()
    assert (inside - expected).abs().max() < ERRORS[dtype, up, tile] * expected.std()
    border = got.clone()
    border[:, 1:-1, 1:-1] = 0
    assert not border.isnan().any()
    assert not border.any()
    assert inside.shape[2:] == (height * up, width * up)


def test_tiles_of_two_round_hardly_more_than_the_op_in_bfloat16(rng):
    got, expected = both(1, 64, 64, (32, 32), 1, torch.bfloat16, rng)
    error = (got[:, 1:-1, 1:-1].permute(0, 3, 1, 2).double() - expected).square().mean().sqrt()
    assert error < 0.007 * expected.std()  # rounding images and weights alone is 0.002 each


@pytest.mark.parametrize("wrong", ["kernel", "type", "layout", "tile"])
def test_weights_of_another_kind_are_refused(wrong, rng):
    planes = packed.bordered(torch.randn(1, 16, 8, 8, generator=rng), torch.float32)
    weight = torch.randn(16, 16, 3, 3, generator=rng)
    weights = {"kernel": weight[..., :1], "type": weight.double(), "layout": weight.transpose(0, 1), "tile": weight}
    size = packed.room(planes, weight)
    with pytest.raises(RuntimeError, match="`tile` must be 2 or 4" if wrong == "tile" else "`weight` must be"):
        packed.synthesis_layer(
            planes,
            weights[wrong],
            torch.ones(1, 16),
            None,
            torch.zeros(16),
            None,
            3 if wrong == "tile" else 2,
            0.2,
            1.0,
            -1.0,
            torch.empty(size),
            torch.empty(1, 10, 10, 16),
        )


def test_a_clamp_limits(rng):
    got, expected = both(1, 16, 16, (8, 8), 1, torch.float32, rng, clamp=0.5)
    torch.testing.assert_close(got[:, 1:-1, 1:-1].permute(0, 3, 1, 2).double(), expected, atol=1e-5, rtol=1e-5)
    assert got.abs().max() == 0.5


@pytest.mark.parametrize("colours", [1, 3, 20])
@pytest.mark.parametrize("below", [True, False])
@pytest.mark.parametrize("side", [(10, 30), (2, 32), (4, 94)])
def test_colours_are_the_sum_of_channels_and_of_the_image_below(colours, below, side, rng):
    x, w = torch.randn(2, 24, *side, generator=rng), torch.randn(colours, 24, 1, 1, generator=rng)
    s, b = torch.randn(2, 24, generator=rng), torch.randn(colours, generator=rng)
    image = torch.randn(2, colours, side[0] // 2, side[1] // 2, generator=rng) if below else None
    planes, got, f = packed.bordered(x, torch.float32), torch.empty(2, colours, *side), setup_filter([1, 2, 4, 3])
    packed.synthesis_rgb(planes, w, packed.fill(s), packed.fill(b), image, packed.separate(f) * 2, 2.0, got)
    expected = (torch.einsum("nchw,nc,kc->nkhw", x, s, w[:, :, 0, 0]) + b[:, None, None]).clamp(-2, 2)
    torch.testing.assert_close(got, expected + (upsample2d(image, f) if below else 0), atol=1e-5, rtol=1e-5)


def test_a_small_workspace_is_refused(rng):
    planes = packed.bordered(torch.randn(1, 16, 8, 8, generator=rng), torch.float32)
    weight = torch.randn(16, 16, 3, 3, generator=rng)
    rest = [torch.ones(1, 16), None, torch.zeros(16), None, 2, 0.2, 1.0, -1.0]
    with pytest.raises(RuntimeError, match="`workspace` is too small"):
        packed.synthesis_layer(planes, weight, *rest, torch.empty(8), torch.empty(1, 10, 10, 16))


def test_affine_maps_take_the_vectors_of_their_layers(rng):
    ws = torch.randn(2, 3, 70, generator=rng)
    weights = [torch.randn(rows, 70, generator=rng) for rows in (5, 300, 1)]
    biases = [torch.randn(len(weight), generator=rng) for weight in weights]
    got = packed.affine_maps(ws, [0, 2, 2], weights, biases, 0.5).split([5, 300, 1], 1)
    for rows, place, weight, bias in zip(got, [0, 2, 2], weights, biases, strict=True):
        torch.testing.assert_close(rows, 0.5 * ws[:, place] @ weight.T + bias, atol=1e-5, rtol=1e-5)
