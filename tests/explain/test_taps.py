import pytest
import torch
from torch import nn

from histoxplain.explain.taps import Taps, feature_distance


def test_one_map_for_each_size_the_last_one_of_it():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3, 2, 1), nn.AdaptiveAvgPool2d(1))
    x = torch.rand(2, 3, 16, 16)
    taps = Taps(net, x)
    with taps.open(), torch.no_grad():
        net(x)
        shapes = [tuple(m.shape) for m in taps.features()]
        assert taps.features()[0].square().sum(1).max().item() == pytest.approx(1, abs=1e-3)
    assert shapes == [(2, 4, 16, 16), (2, 5, 8, 8)]
    assert not any(part._forward_hooks for part in net.modules())


class Twice(nn.Module):
    """One convolution at two sizes, and again at the first."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        a = self.conv(x)
        b = self.conv(nn.functional.avg_pool2d(a, 2))
        return self.conv(a).mean((2, 3)) + b.mean((2, 3))


def test_a_module_that_is_run_several_times_gives_a_map_of_each_size():
    net, x = Twice(), torch.rand(2, 3, 16, 16)
    taps = Taps(net, x)
    with taps.open(), torch.no_grad():
        for image in (x, x.flip(0)):  # what counts is the last pass
            net(image)
        small, large = sorted(taps.features(), key=lambda m: m.shape[-1])
        a = net.conv(x.flip(0))
        for found, expected in ((small, net.conv(nn.functional.avg_pool2d(a, 2))), (large, net.conv(a))):
            torch.testing.assert_close(found, nn.functional.normalize(expected, dim=1), atol=1e-4, rtol=1e-4)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())


def test_distance_is_zero_for_equal_and_per_image():
    a = [torch.tensor([[1.0, 0.0], [0.0, 1.0]]).reshape(2, 2, 1, 1)]
    b = [torch.tensor([[1.0, 0.0], [1.0, 0.0]]).reshape(2, 2, 1, 1)]
    assert feature_distance(a, b).tolist() == [0.0, 2.0]
