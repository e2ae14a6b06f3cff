"""The interactive generator against the generator it stands for, whose images match the reference's fixtures."""

import pytest
import torch

from histoxplain import InputError
from histoxplain.models import Generator, GeneratorConfig
from histoxplain.models.detail import detail_site, detailed
from histoxplain.models.stylegan2 import interactive
from histoxplain.models.stylegan2.packed import PackedLayers
from histoxplain.ops import packed

SMALL = {"resolution": 32, "z_dim": 8, "w_dim": 12, "c_dim": 2, "channel_base": 640, "channel_max": 40}


@pytest.fixture(params=["native", "plain"])
def how(request, monkeypatch):
    """With native kernels, and without."""
    if request.param == "plain":
        monkeypatch.setattr(PackedLayers, "can_run", lambda *_: False)
    elif not packed.load():
        pytest.skip("no compiler: there are no native kernels")
    return request.param


def generator(**changes):
    torch.manual_seed(1)
    G = Generator(GeneratorConfig(mapping_layers=2, **{**SMALL, **changes})).eval()
    G.synthesis.start_noise(0.3, least=4)
    for block in G.synthesis.blocks:
        for name in block.layers:
            torch.nn.init.normal_(block.get_submodule(name).bias)
    return G


def latents(G, count=3):
    with torch.no_grad():
        return G.mapping(torch.randn(count, G.z_dim), torch.eye(2)[torch.arange(count) % 2] if G.c_dim else None)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"architecture": "orig"},
        {"architecture": "resnet"},
        {"channels": 1, "c_dim": 0},
        {"conv_clamp": 0.5},
        {"use_noise": False},
        {"const_channels": 21},
        {"resolution": 64, "channel_base": 4096, "channel_max": 100},
        {"channel_base": 96, "channel_max": 33},
    ],
    ids=str,
)
def test_it_draws_what_the_generator_draws(how, changes):
    G = generator(**changes)
    ws = latents(G)
    fast = G.interactive("float32")
    assert fast.native == (how == "native" and changes.get("architecture") != "resnet")
    with torch.no_grad():
        for mode in ("const", "none"):
            torch.testing.assert_close(fast.synthesis(ws, mode), G.synthesis(ws, mode), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"architecture": "resnet"}, {"channel_base": 96, "channel_max": 33}], ids=str)
@pytest.mark.parametrize("keep", [True, False])
def test_an_offset_of_feature_maps_is_drawn_as_the_generator_draws_it(how, changes, keep):
    G = generator(**changes)
    ws, fast = latents(G), G.interactive("float32", keep)
    offsets = [None, torch.randn(3, detail_site(G).conv1.weight.shape[0], 8, 8), None]
    with torch.no_grad():
        for offset in offsets:
            with detailed(G, offset):
                expected = G.synthesis(ws)
            got = fast.synthesis(ws, detail=offset)
            torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-5)
            if keep:
                assert fast.synthesis(ws, detail=offset).equal(got)
                assert not fast.computed
        s = {name: rows + (name == "b32.conv1") for name, rows in G.styles(ws).items()}
        fast.synthesis(ws, detail=offsets[1])
        with detailed(G, offsets[1]):
            expected = G.synthesis_from_styles(s)
        torch.testing.assert_close(fast.synthesis_from_styles(s, detail=offsets[1]), expected, atol=2e-5, rtol=1e-5)
    with pytest.raises(InputError, match="detail"):
        fast.synthesis(ws, detail=offsets[1][:2])


def test_random_noise_is_drawn_anew_and_in_the_same_order(how):
    G = generator()
    ws, fast = latents(G), G.interactive("float32")
    with torch.no_grad():
        for seed in (3, 4):
            expected = G.synthesis(ws, "random", torch.Generator().manual_seed(seed))
            got = fast.synthesis(ws, "random", torch.Generator().manual_seed(seed))
            torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-5)


def test_bfloat16_is_close_to_float32(how):
    G = generator(resolution=64, channel_base=4096, channel_max=128)
    ws = latents(G)
    with torch.no_grad():
        exact = G.synthesis(ws)
    got = G.interactive("bfloat16").synthesis(ws)
    assert (got - exact).abs().mean() < 0.02 * exact.std()


def test_only_what_follows_a_changed_style_is_computed(how):
    G = generator()
    fast, s = G.interactive("float32"), G.styles(latents(G, 1))
    everything = list(s)
    fast.synthesis_from_styles(s)
    assert fast.computed == everything
    fast.synthesis_from_styles(s)
    assert fast.computed == []
    for name, expected in [
        ("b16.conv1", ["b16.conv1", "b16.torgb", "b32.conv0", "b32.conv1", "b32.torgb"]),
        ("b32.torgb", ["b32.torgb"]),
        ("b8.torgb", ["b8.torgb", "b16.torgb", "b32.torgb"]),
        ("b4.conv1", everything),
    ]:
        s = {**s, name: s[name] + 0.7}
        got = fast.synthesis_from_styles(s)
        assert fast.computed == expected
        assert torch.equal(got, G.interactive("float32").synthesis_from_styles(s))


@pytest.mark.parametrize("architecture", ["orig", "resnet"])
def test_a_late_change_gives_the_same_image_in_other_architectures(how, architecture):
    G = generator(architecture=architecture)
    fast, s = G.interactive("float32"), G.styles(latents(G, 2))
    fast.synthesis_from_styles(s)
    for name in ("b32.conv1", "b16.conv0", "b32.torgb"):
        s = {**s, name: s[name] * 1.5}
        got = fast.synthesis_from_styles(s)
        assert 0 < len(fast.computed) < len(s)
        assert torch.equal(got, G.interactive("float32").synthesis_from_styles(s))


def test_what_was_kept_does_not_outlive_another_batch_noise_or_a_style_changed_in_place(how):
    G = generator()
    fast, s = G.interactive("float32"), G.styles(latents(G, 2))
    first = fast.synthesis_from_styles(s)
    one = {name: rows[:1] for name, rows in s.items()}
    torch.testing.assert_close(fast.synthesis_from_styles(one), first[:1], atol=1e-5, rtol=1e-5)
    quiet = fast.synthesis_from_styles(one, "none")
    assert (quiet - first[:1]).abs().max() > 0.01
    one["b16.conv1"] += 1  # the caller's tensor, which the last pass has seen
    torch.testing.assert_close(
        fast.synthesis_from_styles(one, "none"),
        G.interactive("float32").synthesis_from_styles(one, "none"),
        atol=1e-5,
        rtol=1e-5,
    )


def test_the_image_is_the_callers(how):
    G = generator()
    fast, ws = G.interactive("float32"), latents(G)
    first = fast.synthesis(ws)
    fast.synthesis(ws).zero_()
    assert torch.equal(fast.synthesis(ws), first)


def test_a_pass_that_breaks_off_leaves_nothing_to_rely_on(how, monkeypatch):
    G = generator()
    fast, s = G.interactive("float32"), G.styles(latents(G))
    fast.synthesis_from_styles(s)
    other = {name: rows + 0.5 for name, rows in s.items()}
    with monkeypatch.context() as patched:
        patched.setattr(fast.layers, "colours", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            fast.synthesis_from_styles(other)
    assert torch.equal(fast.synthesis_from_styles(s), G.interactive("float32").synthesis_from_styles(s))


def test_many_images_are_drawn_in_parts_without_keeping(how, monkeypatch):
    G = generator()
    ws = latents(G, 5)
    whole = G.interactive("float32").synthesis(ws)
    monkeypatch.setattr(interactive, "CHUNK", 2 * 32 * 32 * 40 * 4)
    fast = G.interactive("float32", keep=False)
    assert fast.chunk == 4
    torch.testing.assert_close(fast.synthesis(ws), whole, atol=1e-5, rtol=1e-5)
    assert not fast.layers.outputs
    assert fast.synthesis(ws[:0]).shape == (0, 3, 32, 32)


def test_noise_and_labels_go_in_as_into_a_generator(how):
    G = generator()
    z, c = torch.randn(2, 8), torch.eye(2)
    fast = G.interactive("float32")
    with torch.no_grad():
        torch.testing.assert_close(fast(z, c, 0.7, 4), G(z, c, 0.7, 4), atol=2e-5, rtol=1e-5)
    assert (fast.z_dim, fast.num_ws, fast.img_resolution) == (G.z_dim, G.num_ws, 32)


def test_bad_input():
    G = generator()
    fast, s = G.interactive("float32"), G.styles(latents(G))
    with pytest.raises(InputError, match="`noise_mode`"):
        fast.synthesis_from_styles(s, "loud")
    with pytest.raises(InputError, match=r"b16.conv1.*shape \(N, 40\)"):
        fast.synthesis_from_styles({name: rows for name, rows in s.items() if name != "b16.conv1"})
    with pytest.raises(InputError, match=r"b4.conv1"):
        fast.synthesis_from_styles({**s, "b4.conv1": torch.zeros(3, 1)})
    with pytest.raises(InputError, match="3 rows"):
        fast.synthesis_from_styles({**s, "b8.torgb": s["b8.torgb"][:1]})


def test_filters_that_are_no_product_of_four_taps_are_left_to_the_generator():
    assert packed.separate(torch.eye(4) / 4) is None
    assert packed.separate(torch.ones(6, 6) / 36) is None
    assert torch.allclose(packed.separate(torch.outer(*[torch.tensor([0.1, 0.2, 0.3, 0.4])] * 2)).sum(), torch.ones(()))
