"""Inversion where the bundle has an encoder."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from histoxplain import InputError
from histoxplain.explain import draw, invert, latent_space, project, quantised
from histoxplain.models import DetailEncoder, Encoder, EncoderConfig, Generator, GeneratorConfig
from histoxplain.models.detail_encoder import config_for


@pytest.fixture(scope="module")
def known(request):
    """A random generator, and an encoder that knows but the generator's mean."""
    torch.manual_seed(0)
    shape = {"resolution": 16, "channel_base": 256, "channel_max": 16, "z_dim": 8, "w_dim": 8, "mapping_layers": 2}
    G = Generator(GeneratorConfig(c_dim=3, **shape)).eval().requires_grad_(False)
    E = DetailEncoder(config_for(G, width=8, depth=1)).eval().requires_grad_(False)
    E.latent.out.weight.zero_()
    E.latent.out.bias.copy_(G.mapping(torch.randn(99, 8), torch.eye(3)[torch.arange(99) % 3])[:, 0].mean(0))
    return G, E


@pytest.fixture
def told(known, bundle):
    G, E = known
    return SimpleNamespace(
        **vars(replace(bundle, generator=G)) | {"encoder": E, "classifier": bundle.classifier, "path": None}
    )


def spotted():
    x = torch.full((1, 3, 16, 16), 0.2)
    x[..., 2:7, 2:7] = -0.8
    return x


def test_no_step_takes_the_encoder_at_its_word(told):
    found = invert(told, spotted(), steps=0)
    assert found.ws.equal(told.encoder(spotted()))
    assert found.detail.shape == (1, 16, 8, 8)
    assert found.images.equal(quantised(draw(told.generator, found.ws, found.detail)))


def test_steps_move_latents_and_detail_together(told):
    first, second = (invert(told, spotted(), steps=steps) for steps in (0, 30))
    assert float(second.l1) < 0.7 * float(first.l1)
    assert (second.ws - first.ws).abs().max() > 0.01
    assert second.detail.abs().mean() > 0.01


def test_an_encoder_without_detail_says_where_to_begin(told):
    told.encoder = Encoder(EncoderConfig(resolution=16, channel_base=128, channel_max=8, w_dim=8, num_ws=6))
    assert invert(told, spotted(), steps=0, detail_steps=0).ws.equal(told.encoder(spotted()))
    assert invert(told, spotted(), steps=2, detail_steps=2).detail is not None


def test_a_stranger_is_not_asked(told):
    told.encoder = Encoder(EncoderConfig(resolution=16, channel_base=128, channel_max=8, w_dim=4, num_ws=6))
    with pytest.raises(InputError, match="`steps` must be at least 1"):
        invert(told, spotted(), steps=0)
    begun = invert(told, spotted(), steps=1, lr=1e-9).ws[0, 0]
    space = latent_space(told)
    assert (torch.cat([space.means, space.w]) - begun).abs().amax(1).min() < 1e-5


@pytest.mark.parametrize("space", ["w", "w+"])
def test_projection_begins_there_too(known, bundle, space):
    from histoxplain.models import Bundle

    G, E = known
    names = bundle.class_names
    whole = Bundle("x", G, bundle.classifier, None, E, names, 16, "", None)
    found = project(whole, spotted(), space=space, steps=1)
    assert (found.ws - E.latent.out.bias).abs().max() < 2
    assert found.ws.shape == (1, 6, 8)
