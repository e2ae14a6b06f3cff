from dataclasses import replace

import pytest
import torch
from torch import nn

from histoxplain import InputError
from histoxplain.models import (
    Inpainter,
    InpainterConfig,
    ProjectionDiscriminator,
    load_inpainter,
    load_translator,
    save_inpainter,
)
from histoxplain.models.inpainting.layers import ConditionalBatchNorm, CriticBlock

TINY = InpainterConfig(
    class_names=("normal", "ill"), resolution=32, channel_base=4, channel_max=16, depth=3, skips=(1, 2)
)


def inpainter(strength=0.3, **changes):
    """With a random last layer, so that something is drawn, and norms that differ between conditions."""
    torch.manual_seed(0)
    G = Inpainter(replace(TINY, **changes))
    nn.init.normal_(G.out.weight, 0, strength)
    for module in G.modules():
        if isinstance(module, ConditionalBatchNorm):
            nn.init.normal_(module.gain, 1, 0.3)
    return G.eval()


def test_the_published_shape():
    config = InpainterConfig(class_names=("normal", "ill"), resolution=256)
    assert config.widths == (64, 64, 128, 256, 512, 1024)
    with torch.device("meta"):
        G, D = Inpainter(config), ProjectionDiscriminator(1)
    assert [block.convolutions[1].out_channels for block in G.encoder] == [64, 128, 256, 512, 1024]
    assert [block.convolutions[1].out_channels for block in G.decoder] == [512, 256, 128, 64, 64]
    assert [len(block.norms[0].gain) for block in G.decoder] == [2] * 5
    assert config.skips == (1, 2, 3, 4)
    assert [block.convolutions[0].out_channels for block in D.blocks] == [64, 128, 256, 512, 1024]


def test_any_size_and_channels_go_through():
    for channels, size in ((1, (32, 32)), (3, (50, 37)), (2, (7, 64))):
        G, x = inpainter(channels=channels), torch.rand(3, channels, *size) * 2 - 1
        y = G(x, torch.tensor([0, 1, 0]))
        assert y.shape == x.shape
        assert y.abs().max() <= 1
        assert not torch.equal(y, x)
        logits = ProjectionDiscriminator(channels, 4, 3)(x, torch.tensor([0, 1, 0]))
        assert logits.shape == (3, 1)


def test_what_becomes_of_the_output():
    x = torch.rand(2, 1, 32, 32) * 1.8 - 0.9
    made = {kind: Inpainter(replace(TINY, output=kind)).eval()(x) for kind in ("tanh", "atanh", "image")}
    torch.testing.assert_close(made["tanh"], torch.tanh(x))  # the output is 0 at first
    torch.testing.assert_close(made["atanh"], x, atol=1e-5, rtol=0)
    assert not made["image"].any()
    edges = torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 1, 32, 32)
    assert (Inpainter(replace(TINY, output="atanh")).eval()(edges) - edges).abs().max() < 1e-5
    G = inpainter(output="tanh")
    drawn = G._drawn(x, torch.zeros(2, dtype=torch.long))
    torch.testing.assert_close(G(x), torch.tanh(drawn + x))


def test_the_condition_matters_and_each_image_has_its_own():
    G, x = inpainter(), torch.rand(2, 1, 32, 32)
    normal, abnormal = G(x), G(x, torch.tensor([1, 1]))
    assert (normal - abnormal).abs().max() > 1e-3
    torch.testing.assert_close(G(x, torch.tensor([1, 0])), torch.stack([abnormal[0], normal[1]]))
    D = ProjectionDiscriminator(1, 4, 3).eval()
    a, b = (D(x, torch.full((2,), k)) for k in (0, 1))
    assert (a - b).abs().min() > 0


def test_each_skip_reaches_the_output():
    x, condition = torch.rand(1, 1, 32, 32), torch.tensor([0])
    drawn = [inpainter(skips=skips)._drawn(x, condition) for skips in ((), (0,), (1,), (2,))]
    assert min((a - b).abs().max() for i, a in enumerate(drawn) for b in drawn[:i]) > 1e-3


def test_spectral_norms_are_one():
    torch.manual_seed(0)
    block = CriticBlock(8, 8)
    with torch.no_grad():
        block.convolutions[0].parametrizations.weight.original.mul_(7)
        for _ in range(100):
            block(torch.zeros(1, 8, 4, 4))
    norm = torch.linalg.matrix_norm(block.eval().convolutions[0].weight.flatten(1), 2)
    assert abs(norm.item() - 1) < 0.01


def test_conditional_norm_is_batch_norm_with_a_table(rng):
    ours, theirs = ConditionalBatchNorm(3, 2), nn.BatchNorm2d(3, affine=False)
    x = torch.randn(4, 3, 5, 5, generator=rng)
    with torch.no_grad():
        ours.gain[1], ours.shift[1] = 2.0, 0.5
    for _ in range(3):
        y, plain = ours(x, torch.tensor([0, 1, 0, 1])), theirs(x)
        torch.testing.assert_close(y[0], plain[0])
        torch.testing.assert_close(y[1], 2 * plain[1] + 0.5)
    y, plain = ours.eval()(x, torch.tensor([0, 1, 0, 1])), theirs.eval()(x)
    torch.testing.assert_close(y[3], 2 * plain[3] + 0.5, atol=1e-3, rtol=1e-3)  # variances divided by N - 1 or N


def test_a_file_brings_it_back(tmp_path):
    G, x = inpainter(normal=1, output="atanh"), torch.rand(2, 1, 32, 32)
    again = load_inpainter(save_inpainter(tmp_path / "i.safetensors", G, {"images_seen": 3}), "cpu", "float32")
    assert again.config == G.config
    assert not again.training
    torch.testing.assert_close(again(x), G(x))
    with pytest.raises(InputError, match="kind"):
        load_translator(tmp_path / "i.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ("one",)}, "`class_names` must name at least 2 classes"),
        ({"normal": 2}, "`normal` must lie in"),
        ({"skips": (3,)}, "`skips` must be levels from 0 to 2, got 3"),
        ({"output": "sigmoid"}, "`output` must be one of tanh, atanh, image"),
        ({"channel_base": 0}, "`channel_base` must be at least 1"),
    ],
)
def test_odd_shapes_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        replace(TINY, **changes)


def test_odd_images_are_refused():
    G = inpainter()
    with pytest.raises(InputError, match="`x` must have 1 channels"):
        G(torch.zeros(1, 3, 32, 32))
    with pytest.raises(InputError, match=r"`condition` must have shape \(1,\)"):
        G(torch.zeros(1, 1, 32, 32), torch.tensor([0, 1]))
