from dataclasses import replace

import pytest
import torch
from torch import nn

from histoxplain import InputError
from histoxplain.models import PatchDiscriminator, Translator, TranslatorConfig, load_translator, save_translator
from histoxplain.models.cyclegan.generators import AttentionGate
from histoxplain.models.cyclegan.instance_norm import InstanceNorm, _InstanceNorm
from histoxplain.models.cyclegan.layers import by_class

TWO = ("normal", "pneumonia")
TINY = TranslatorConfig(class_names=TWO, resolution=32, width=4, depth=2, blocks=1)


def translator(strength=0.1, **changes):
    """With random weights, the last layer's too, so that something is drawn."""
    T = Translator(replace(TINY, **changes))
    for network in T.networks:
        nn.init.normal_(network.out.weight, 0, strength)
    return T.eval()


@pytest.mark.parametrize("architecture", ["attention-unet", "resnet"])
@pytest.mark.parametrize("shrink", [1, 2])
def test_any_size_and_channels_go_through(architecture, shrink):
    for channels, size in ((1, (32, 32)), (3, (50, 37)), (2, (7, 64))):
        T = translator(architecture=architecture, channels=channels, shrink=shrink)
        x = torch.rand(3, channels, *size) * 2 - 1
        y = T(x, torch.tensor([0, 1, 0]))
        assert y.shape == x.shape
        assert y.abs().max() <= 1
        assert not torch.equal(y, x)


def test_each_image_goes_through_the_network_of_its_target():
    T, x = translator(), torch.rand(4, 1, 32, 32)
    both = [T(x, torch.full((4,), k)) for k in range(2)]
    mixed = T(x, torch.tensor([1, 0, 0, 1]))
    torch.testing.assert_close(mixed, torch.stack([both[1][0], both[0][1], both[0][2], both[1][3]]))
    assert (both[0] - both[1]).abs().max() > 1e-3


def test_a_joint_network_is_told_the_target():
    T = translator(class_names=("a", "b", "c"), joint=True)
    x = torch.rand(1, 1, 32, 32).expand(3, -1, -1, -1)
    a, b, c = T(x, torch.arange(3))
    assert len(T.networks) == 1
    assert min((a - b).abs().max(), (b - c).abs().max()) > 1e-3


def test_at_first_nothing_changes():
    x = torch.rand(2, 1, 32, 32) * 2 - 1
    assert torch.equal(Translator(TINY)(x, torch.tensor([0, 1])), x)


def test_what_is_finer_than_the_drawn_change_stays():
    T, x = translator(0.01, shrink=2), torch.rand(1, 1, 32, 32) * 0.2
    board = torch.tensor([[0.1, -0.1], [-0.1, 0.1]]).repeat(16, 16)  # invisible at half the resolution
    target = torch.tensor([1])
    torch.testing.assert_close(T(x + board, target) - T(x, target), board[None, None], atol=1e-5, rtol=0)


def test_an_image_that_is_drawn_anew_starts_as_grey():
    T = Translator(replace(TINY, residual=False))
    assert T(torch.ones(1, 1, 32, 32), torch.tensor([0])).abs().max() < 0.5


def test_a_gate_lets_through_a_share():
    gate, skip = AttentionGate(4), torch.randn(2, 4, 5, 5)
    nn.init.zeros_(gate.out.weight)
    nn.init.zeros_(gate.out.bias)
    torch.testing.assert_close(gate(skip, torch.randn(2, 4, 5, 5)), skip / 2)  # sigmoid(0)


def test_instance_normalisation_is_torchs():
    ours, theirs = InstanceNorm(5).double(), nn.InstanceNorm2d(5, affine=True).double()
    nn.init.normal_(ours.weight)
    nn.init.normal_(ours.bias)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 5, 4, 6, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    torch.testing.assert_close(ours(x), theirs(x))
    assert ours(x).is_contiguous(memory_format=torch.channels_last)
    assert torch.autograd.gradcheck(_InstanceNorm.apply, (x, ours.weight, ours.bias))


def test_reduced_precision_is_nearly_the_same():
    T, x = translator(), torch.rand(2, 1, 32, 32) * 2 - 1
    exact = T(x, torch.tensor([0, 1]))
    near = T.set_precision("bfloat16")(x, torch.tensor([0, 1]))
    assert near.dtype == torch.float32
    assert (near - exact).abs().max() < 0.05


def test_a_discriminator_has_logits_for_every_class():
    x, classes = torch.randn(3, 1, 64, 64), torch.tensor([0, 1, 2])
    D = PatchDiscriminator(1, 3, width=4, depth=3, joint=True)
    every = D.networks[0](x)
    torch.testing.assert_close(D(x, classes)[:, 0], torch.stack([every[0, 0], every[1, 1], every[2, 2]]))
    apart = PatchDiscriminator(1, 3, width=4, depth=3)
    torch.testing.assert_close(apart(x, classes)[1:2], apart.networks[1](x[1:2]))
    assert apart(x, classes).shape == (3, 1, 8, 8)
    assert PatchDiscriminator(2, 2, width=4, shrink=2)(torch.randn(1, 2, 20, 30), classes[:1]).shape[1] == 1


def test_by_class_keeps_the_order():
    add = [lambda x, k=k: x + k for k in range(3)]
    x = torch.arange(5.0)[:, None]
    assert by_class(add, x, torch.tensor([2, 0, 1, 2, 0]))[:, 0].tolist() == [2, 1, 3, 5, 4]


def test_files(tmp_path):
    T, x = translator(shrink=2), torch.rand(1, 1, 32, 32)
    path = save_translator(tmp_path / "t.safetensors", T, {"images_seen": 5})
    again = load_translator(path, "cpu", "float32")
    assert again.config == T.config
    torch.testing.assert_close(again(x, torch.tensor([1])), T(x, torch.tensor([1])))
    assert not any(p.requires_grad for p in again.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ("a",)}, "at least 2 classes, got 1"),
        ({"class_names": ("a", "b", "c")}, "`joint` must be on for 3 classes"),
        ({"architecture": "attention"}, "nearest valid is 'attention-unet'"),
        ({"shrink": 2, "residual": False}, "`shrink` must be 1"),
        ({"depth": 0}, "`depth` must be at least 1"),
    ],
)
def test_wrong_shapes(changes, message):
    with pytest.raises(InputError, match=message):
        replace(TINY, **changes)


def test_wrong_images():
    with pytest.raises(InputError, match="have 1 channels"):
        Translator(TINY)(torch.zeros(1, 3, 32, 32), torch.tensor([0]))
    with pytest.raises(InputError, match=r"`target` must have shape \(1,\)"):
        Translator(TINY)(torch.zeros(1, 1, 32, 32), torch.tensor([0, 1]))
