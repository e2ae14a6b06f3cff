import pytest
import torch

from histoxplain.explain import counterfactual, draw, film_of, invert, latent_space, quantised
from histoxplain.explain.detail import detail_scale, detail_site, detailed
from histoxplain.models import Generator, GeneratorConfig


@pytest.fixture(scope="module")
def tiny(request):
    """A real generator with random weights; what it draws is far from any image of ours."""
    torch.manual_seed(0)
    shape = {"resolution": 16, "channel_base": 256, "channel_max": 16, "z_dim": 8, "w_dim": 8, "mapping_layers": 2}
    return Generator(GeneratorConfig(c_dim=3, **shape)).eval().requires_grad_(False)


@pytest.fixture
def blank(tiny, bundle):
    return type(bundle)(tiny, bundle.classifier, resolution=16)


def spotted():
    """Grey with one dark spot in the upper left."""
    x = torch.full((1, 3, 16, 16), 0.2)
    x[..., 2:7, 2:7] = -0.8
    return x


def test_sits_at_a_quarter_of_the_resolution(tiny, bundle):
    assert detail_site(tiny).resolution == 8
    assert detail_site(bundle.generator) is None  # it has no blocks
    ws = tiny.mapping(torch.randn(2, 8), torch.eye(3)[:2])
    scale = detail_scale(tiny, ws)
    assert scale.shape == (2, 16, 8, 8)
    assert (scale.flatten(1).std(1) < 1e-6).all()
    assert not detail_site(tiny)._forward_hooks


def test_each_image_gets_its_own_and_only_inside(tiny):
    ws = tiny.mapping(torch.randn(1, 8), torch.eye(3)[:1]).expand(2, -1, -1)
    plain = draw(tiny, ws)
    detail = torch.zeros(2, 16, 8, 8)
    detail[1] = 1.0
    with detailed(tiny, detail):
        changed = tiny.synthesis(ws)
    assert torch.allclose(changed[0], plain[0], atol=1e-5)
    assert (changed[1] - plain[1]).abs().max() > 0.01
    assert torch.allclose(draw(tiny, ws, detail), changed, atol=1e-5)
    assert torch.allclose(draw(tiny, ws), plain, atol=1e-5)


def test_puts_the_spot_in_its_place(blank):
    plain = invert(blank, spotted(), steps=20, detail_steps=0)
    found = invert(blank, spotted(), steps=20, detail_steps=40)
    assert plain.detail is None
    assert float(found.l1) < 0.7 * float(plain.l1)
    assert found.images.equal(quantised(draw(blank.generator, found.ws, found.detail)))


def test_path_and_record_carry_it(blank):
    opinion = latent_space(blank).logits.argmax(1).bincount(minlength=3)
    source = int(blank.classifier(spotted()).argmax())
    target = max((k for k in range(3) if k != source), key=lambda k: int(opinion[k]))
    e = counterfactual(blank, spotted(), target, count=2, inversion_steps=20, detail_steps=20, gradient_steps=2)
    assert e.latents["detail"].shape == (16, 8, 8)
    assert e.latents["gain"].shape == (len(e),)
    for which in range(len(e)):
        film = film_of(blank, e, which, steps=3)
        assert (
            film.frames[0] - e.reconstruction
        ).abs().max() <= 2 / 127  # a step of 8 bits: batches differ in rounding
        assert (film.frames[-1] - e.counterfactuals[which]).abs().max() <= 2 / 127
