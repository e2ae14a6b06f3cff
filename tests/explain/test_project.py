import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.data import to_uint8, to_unit
from histoxplain.explain import Projector, as_bundle, project
from histoxplain.models import Generator, GeneratorConfig

SHAPE = {"resolution": 16, "channel_base": 128, "channel_max": 8, "z_dim": 8, "w_dim": 8, "mapping_layers": 2}


@pytest.fixture
def make():
    """A generator and an image that it can draw."""

    def make(names=(), label=None, **changes):
        G = Generator(GeneratorConfig(**{**SHAPE, **changes}, c_dim=len(names)), tuple(names)).eval()
        c = None if label is None else torch.eye(len(names))[[label]]
        with torch.no_grad():
            return G, to_unit(to_uint8(G(torch.randn(1, 8), c)))

    return make


class BlackOrWhite(torch.nn.Module):
    """Draws grey tones: about black for the first class, about white for the second."""

    z_dim = w_dim = 2
    c_dim, num_ws, img_resolution, img_channels = 2, 4, 16, 3
    class_names = ("black", "white")

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def mapping(self, z, c):
        return (z * 0.05 + 2 * c - 1)[:, None].repeat(1, 4, 1)

    def synthesis(self, ws, noise_mode="const"):
        return (self.scale * ws.mean(1)[:, 1:])[:, :, None, None].expand(-1, 3, 16, 16)


def test_the_image_of_a_generator_alone(make):
    G, x = make()
    found = project(G, x, steps=60)
    with torch.no_grad():
        average = (G.synthesis(G.mapping.w_avg.expand(1, G.num_ws, 8)) - x).abs().mean() / 2
        again = to_unit(to_uint8(G.synthesis(found.ws)))
    assert found.l1[0] < 0.4 * average
    assert found.images.equal(again)  # what is said to be drawn there is drawn there
    assert found.psnr[0] == pytest.approx(10 * float((4 / (again - x).square().mean()).log10()))
    assert found.classes == (None,)


@pytest.mark.parametrize("channels", [1, 3])
def test_one_latent_for_all_layers(make, channels):
    G, x = make(("benign", "malignant"), 1, channels=channels)
    found = project(G, x, "malignant", space="w", steps=2)
    assert found.ws.shape == (1, G.num_ws, 8)
    assert found.ws.equal(found.ws[:, :1].expand_as(found.ws))
    assert found.classes == ("malignant",)


def test_the_most_similar_sample_gives_the_label():
    images = torch.stack([torch.full((3, 16, 16), -0.9), torch.full((3, 16, 16), 0.9)])
    found = project(BlackOrWhite(), images, steps=30)
    assert found.classes == ("black", "white")
    assert max(found.l1) < 0.02


def test_a_label_each():
    found = project(BlackOrWhite(), torch.zeros(2, 3, 16, 16), ["white", 0], steps=1)
    assert found.classes == ("white", "black")


def test_a_classifier_gives_the_label(bundle, colour):
    found = project(bundle, torch.stack([colour(0.5), colour(-0.5)]), steps=2)
    assert found.classes == ("red", "dark")


def test_eyes_see_what_pixels_do_not(make):
    """Eyes that see red alone: a blue error costs nothing more, a red one does."""

    class Red(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 2, 1)
            torch.nn.init.zeros_(self.conv.weight)
            with torch.no_grad():
                self.conv.weight[0, 0] = 1
                self.conv.bias.copy_(torch.tensor([0.0, 1.0]))

        def forward(self, x):
            return self.conv(x).mean((2, 3))

    G, x = make()
    blind, seeing = (Projector(G, steps=60, eyes=eyes)(x) for eyes in (None, Red()))
    red = [float((found.images - x)[:, 0].abs().mean()) for found in (blind, seeing)]
    assert red[1] < red[0]


def test_the_generator_is_measured_once(make, monkeypatch):
    G, x = make()
    projector, calls = Projector(G, steps=1), []
    mapping = G.mapping.forward
    monkeypatch.setattr(G.mapping, "forward", lambda *args: calls.append(1) or mapping(*args))
    for _ in range(3):
        projector(x)
    assert len(calls) == 1


def test_same_seed_same_latent(make):
    G, x = make()
    first, second = (project(as_bundle(G), x, steps=3, seed=4).ws for _ in range(2))
    assert first.equal(second)


def test_mistakes(make):
    G, x = make()
    for words, call in {
        "`space` must be one of w\\+, w, got 'z'": lambda: project(G, x, space="z"),
        "`steps` must be at least 1": lambda: project(G, x, steps=0),
        "`images` must be 16 x 16": lambda: project(G, x[..., :8]),
        "`label` must be left out for a generator without labels, got 0": lambda: project(G, x, 0),
        "`images` must be 16 x 16, got": lambda: project(BlackOrWhite(), x[..., :8, :8]),
        "`label` must be one of black, white": lambda: project(BlackOrWhite(), x, "grey"),
        "`label` must name one class for each of 1 images, got 2": lambda: project(BlackOrWhite(), x, [0, 1]),
    }.items():
        with pytest.raises(InputError, match=words):
            call()
