import torch
from torch import nn

from histoxplain.metrics import randomised, sanity_check


def test_keeps_the_numbers_of_each_weight_and_the_network_itself():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(4, 4))
    before = [weight.clone() for weight in network.parameters()]
    other = randomised(network, seed=1)
    assert all(torch.equal(weight, old) for weight, old in zip(network.parameters(), before))
    for old, new in zip(before, other.parameters()):
        assert torch.equal(old.flatten().sort().values, new.flatten().sort().values)
    assert not torch.equal(before[0], other[0].weight)
    assert torch.equal(other[0].weight, randomised(network, seed=1)[0].weight)
    assert not torch.equal(other[0].weight, randomised(network, seed=2)[0].weight)


def test_a_map_of_the_network_fails_to_survive_and_a_map_of_the_image_does(rng):
    network, x = nn.Linear(400, 1), torch.rand(400, generator=rng)
    assert max(map(abs, sanity_check(lambda one: one.weight.detach()[0] * x, network))) < 0.25
    assert sanity_check(lambda one: x, network, seeds=(5,)) == [1.0]
