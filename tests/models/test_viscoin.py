from dataclasses import replace

import pytest
import torch
from torch import nn

from histoxplain import InputError
from histoxplain.models import (
    Classifier,
    ClassifierConfig,
    ConceptModel,
    DetailEncoder,
    Generator,
    GeneratorConfig,
    encode,
    load_concepts,
    save_concepts,
)
from histoxplain.models.detail_encoder import config_for as encoder_config
from histoxplain.models.viscoin.config import ConceptConfig
from histoxplain.models.viscoin.extractor import Extractor
from histoxplain.models.viscoin.model import config_for, sample_latents
from histoxplain.models.viscoin.stages import find_stages, stage_maps

SHAPE = {"resolution": 16, "channel_base": 256, "channel_max": 16, "z_dim": 8, "w_dim": 8, "mapping_layers": 2}


class Small(nn.Module):
    """Two classes, two stages of 8 and 4 pixels."""

    class_names, resolution = ("cold", "warm"), 16

    def __init__(self, channels=3):
        super().__init__()
        self.channels = channels
        self.fine = nn.Sequential(nn.Conv2d(channels, 4, 3, stride=2, padding=1), nn.ReLU())
        self.coarse = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU())
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.coarse(self.fine(x)).mean((2, 3)))


def networks(c_dim=2, channels=3):
    torch.manual_seed(0)
    G = Generator(GeneratorConfig(c_dim=c_dim, channels=channels, **SHAPE)).eval().requires_grad_(False)
    C = Small(channels).eval().requires_grad_(False)
    E = DetailEncoder(encoder_config(G, width=8, depth=1))
    nn.init.normal_(E.lack.weight)
    return C, G, E.eval().requires_grad_(False)


def model(encoder=False, c_dim=2, channels=3, **shape):
    C, G, E = networks(c_dim, channels)
    E = E if encoder else None
    made = ConceptModel(C, G, config_for(C, G, E, concepts=5, width=6, **shape), E).eval()
    made.calibrate(pictures(channels=channels))
    return made


def pictures(n=4, channels=3):
    return torch.rand(n, channels, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_stages_of_a_resnet_are_those_published():
    C = Classifier(ClassifierConfig(class_names=("a", "b"), architecture="resnet50", resolution=224)).eval()
    assert find_stages(C) == (
        ("network.layer2", 512, 28),
        ("network.layer3", 1024, 14),
        ("network.layer4", 2048, 7),
    )
    G = networks()[1]
    config = config_for(C, G, width=8)
    psi = ConceptModel(C, G, config).psi
    strides = [(look.kernel_size[0], look.stride[0]) for look in psi.looks]
    assert (config.grid, strides, psi.mix.in_channels) == (7, [(5, 4), (3, 2), (3, 1)], 24)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "squeezenet1_1", "swin_t"])
def test_any_architecture_has_stages(name):
    C = Classifier(ClassifierConfig(class_names=("a", "b"), architecture=name, resolution=64)).eval()
    stages = find_stages(C)
    x = torch.zeros(1, 3, 70, 50)
    logits, maps = stage_maps(C, x, [stage[:2] for stage in stages])
    assert [tuple(m.shape[1:]) for m in maps] == [(stage.channels, stage.side, stage.side) for stage in stages]
    torch.testing.assert_close(logits, C(x))


def test_a_classifier_without_maps():
    class Mean(nn.Module):
        class_names, channels, resolution = ("a", "b"), 3, 16

        def forward(self, x):
            return x.mean((2, 3))[:, :2]

    with pytest.raises(InputError, match="`classifier` must make maps"):
        find_stages(Mean())
    with pytest.raises(InputError, match="`classifier` must have the layer 'fine'"):
        stage_maps(Mean(), pictures(), [("fine", 4)])


@pytest.mark.parametrize(("encoder", "c_dim", "channels"), [(False, 2, 3), (False, 0, 1), (True, 2, 3), (True, 0, 1)])
def test_any_generator(encoder, c_dim, channels):
    m, x = model(encoder, c_dim, channels), pictures(channels=channels)
    found = m.concepts(x)
    assert found.phi.shape == (4, 5, 3, 3)
    assert found.phi.min() >= 0 < found.phi.max()
    assert m.predict(found.phi).equal(m(x))
    assert m.maps(x).shape == (4, 5, 8, 8)
    assert m.draw(found).shape == x.shape
    torch.testing.assert_close(found.logits, m.classifier(x))


def bare_extractor(side=4, concepts=1):
    """Reads the one channel of one stage as it is, where that is 0 or more."""
    config = ConceptConfig(
        class_names=("a", "b"), concepts=concepts, stages=(("x", 1),), sides=(side,), grid=side, width=1
    )
    psi = Extractor(config).eval()
    for convolution in (*psi.looks, psi.mix, psi.read):
        nn.init.zeros_(convolution.weight)
        middle = convolution.weight.shape[2] // 2
        convolution.weight.data[:, :, middle, middle] = 1
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
    return psi


def test_what_is_the_same_in_all_images_is_no_concept():
    psi, x = bare_extractor(), torch.zeros(16, 1, 4, 4)
    x[:, :, 0, 0] = 9.0  # much of it, in the same place of every image
    x[3, :, 1, 2] = 5.0  # in one image alone
    psi.settle([[some] for some in x.split(5)])
    maps, beside = psi([x])
    expected = torch.zeros(16, 1, 4, 4)
    # mean 5/16, variance 25/15 - 16/15 (5/16)^2 = 1.25^2: (5 - 5/16) / 1.25 = 3.75 deviations, of which one is usual
    expected[3, :, 1, 2] = 3.75 - 1
    torch.testing.assert_close(maps, expected, atol=1e-3, rtol=0)
    assert beside.shape == (16, 9)
    assert psi.settle([[x]]) is None
    torch.testing.assert_close(psi([x])[0], maps)


def test_what_is_usual_follows_a_training():
    psi, x = bare_extractor().train(), torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    psi([x])
    torch.testing.assert_close(psi.place_mean, 0.05 * x.mean(0))
    torch.testing.assert_close(psi.place_scale, 0.95 + 0.05 * x.square().mean(0).sqrt())
    for _ in range(200):
        psi([x])
    torch.testing.assert_close(psi.place_mean, x.mean(0), atol=1e-3, rtol=0)
    torch.testing.assert_close(psi.place_scale, x.std(0, correction=0), atol=1e-3, rtol=0)
    before = psi.place_mean.clone()
    psi.eval()([x + 1])
    assert psi.place_mean.equal(before)


def test_edges_say_nothing():
    """Of images that are alike in all places, maps are alike in all places: nothing beyond the edge is seen."""
    torch.manual_seed(0)
    stages = (("a", 3), ("b", 4), ("c", 5))
    psi = Extractor(ConceptConfig(class_names=("a", "b"), concepts=6, stages=stages, sides=(32, 8, 4), grid=8, width=7))
    flat = [torch.randn(2, channels, 1, 1).expand(2, channels, n, n) for (_, channels), n in zip(stages, (32, 8, 4))]
    readings = psi.read(psi._mixed(flat))
    torch.testing.assert_close(readings, readings[:, :, :1, :1].expand_as(readings), atol=1e-5, rtol=1e-5)
    assert readings.std() > 0.01


def test_importance_adds_up_to_the_opinion():
    m = model()
    phi = m.concepts(pictures()).phi
    torch.testing.assert_close(m.importance(phi).sum(1) + m.theta.bias, m.predict(phi))


def test_no_concepts_are_the_mean_image():
    m = model(c_dim=0)
    m.generator.mapping.w_avg.copy_(torch.arange(8.0))
    m.calibrate(pictures())
    ws = m.latents(torch.zeros(1, 5, 3, 3))
    assert ws.equal(torch.arange(8.0).expand(1, 6, 8))


def test_a_generator_that_never_measured_its_mean():
    m = model()
    expected = sample_latents(m.generator, 4096).mean(0)
    assert m.generator.mapping.w_avg.abs().max() == 0 < expected.abs().max()
    torch.testing.assert_close(m.omega.mean, expected)


def test_concepts_move_the_middle_and_the_support_the_rest():
    m = model()
    assert (m.config.first_ws, m.config.last_ws) == (1, 5)
    found = m.concepts(pictures())
    moved = m.latents(2 * found.phi, found.support) - m.latents(found.phi, found.support)
    other = m.latents(found.phi, 2 * found.support) - m.latents(found.phi, found.support)
    assert (moved.abs().amax((0, 2)) > 0).tolist() == [False, True, True, True, True, False]
    assert (other.abs().amax((0, 2)) > 0).tolist() == [True, False, False, False, False, True]


def test_with_an_encoder_nothing_is_lost():
    m, x = model(encoder=True, detail=1.0), pictures()
    expected = encode(m.generator, m.encoder, x)
    found = m.concepts(x)
    torch.testing.assert_close(m.latents(found.phi, found.support), expected.ws)
    torch.testing.assert_close(m.reconstruct(x), expected.images.clamp(-1, 1), atol=1e-4, rtol=1e-4)
    half = ConceptModel(m.classifier, m.generator, replace(m.config, residue=0.5, detail=0.0), m.encoder).eval()
    half.load_state_dict(m.state_dict())
    seen = half.concepts(x)
    assert seen.detail is None
    alone = m.latents(found.phi)
    torch.testing.assert_close(half.latents(seen.phi, seen.support), (expected.ws + alone) / 2)


def test_amplifying_is_a_straight_move():
    m, x = model(bounded=1.0), pictures()
    found = m.concepts(x)
    one, two, four = (
        m.latents(*found.scaled(f)[:2]) for f in ({2: 1.0}, {2: 2.0}, torch.tensor([1.0, 1.0, 4.0, 1.0, 1.0]))
    )
    torch.testing.assert_close(four - one, 3 * (two - one), atol=1e-5, rtol=1e-4)
    assert m.amplify(x, {}).equal(m.reconstruct(x))
    by_row = torch.ones(4, 5)
    by_row[1, 2] = 0
    changed = (found.scaled(by_row).phi != found.phi).flatten(2).any(2)
    assert changed.sum() <= 1
    assert found.scaled(by_row).phi[1, 2].max() == 0
    with pytest.raises(InputError, match="`factors` must be of concepts 0 to 4, got 5"):
        found.scaled({5: 2.0})


def test_more_than_can_be_drawn_is_drawn_as_much_as_can_be():
    m = model()
    samples = sample_latents(m.generator, 4096)
    inside = m.omega.distance(samples) <= m.omega.reach
    assert inside.double().mean() == pytest.approx(0.98, abs=0.001)
    phi = torch.zeros(1, 5, 3, 3)
    phi[0, 2] = 1.0
    middle = slice(m.config.first_ws, m.config.last_ws)
    straight = m.omega.move(phi)[0, middle]
    near, far, farther = ((m.latents(much * phi) - m.omega.mean)[0, middle] / straight for much in (1e-3, 1e3, 1e6))
    torch.testing.assert_close(near, torch.full_like(near, 1e-3), atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(far, farther, rtol=1e-3, atol=0)  # the same image
    assert far.std(1).max() < 1e-3 * far.max()  # the same way
    ends = m.omega.distance(m.latents(1e3 * phi))[0, middle]
    torch.testing.assert_close(ends, m.omega.reach.expand_as(ends))
    free = model(bounded=1.0)
    assert free.omega.reach.isinf()
    torch.testing.assert_close(free.latents(1e3 * phi) - free.omega.mean, free.omega.move(1e3 * phi))


def test_images_have_one_range():
    """A real image and a drawn one go the same way, and only the classifier normalises."""
    seen = []
    m = model()
    m.generator.synthesis.register_forward_hook(lambda _, __, x: x.mul(50))  # far outside, as untrained ones are
    drawn = m.reconstruct(pictures())
    assert drawn.abs().max() <= 1
    m.classifier.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    m.concepts(drawn)
    m.concepts(pictures())
    assert seen[0] is drawn
    assert seen[1].equal(pictures())


def test_only_its_own_weights_are_saved_and_names_with_them(tmp_path):
    m, x = model(encoder=True), pictures()
    m.rename({0: "lumen", 3: " keratin "})
    assert m.names == ("lumen", "concept 2", "concept 3", "keratin", "concept 5")
    first = save_concepts(tmp_path / "a.safetensors", m, {"images_seen": 7})
    again = load_concepts(first, *m._frozen)
    assert {name.split(".")[0] for name in again.state_dict()} == {"psi", "theta", "omega"}
    assert (again.names, again.meta, again.config) == (m.names, {"images_seen": 7}, m.config)
    torch.testing.assert_close(again(x), m(x), atol=1e-3, rtol=1e-2)
    twice = load_concepts(save_concepts(tmp_path / "b.safetensors", again), *m._frozen)
    assert all(a.equal(b) for a, b in zip(twice.state_dict().values(), again.state_dict().values()))
    with pytest.raises(InputError, match="`names` must differ"):
        m.rename({1: "keratin"})


def test_networks_that_do_not_fit(tmp_path):
    m = model(encoder=True)
    path = save_concepts(tmp_path / "a.safetensors", m)
    C, G, E = m._frozen
    with pytest.raises(InputError, match="`encoder` must be given"):
        load_concepts(path, C, G)
    other = Generator(GeneratorConfig(**SHAPE | {"w_dim": 4}))
    with pytest.raises(InputError, match="`generator` must take 6 latents of 8 numbers"):
        load_concepts(path, C, other, E)
    C.class_names = ("warm", "cold")
    with pytest.raises(InputError, match="`classifier` must know the classes cold, warm"):
        load_concepts(path, C, G, E)
