import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from histoxplain import InputError
from histoxplain.models import DetailEncoder, Generator, GeneratorConfig, load_concepts
from histoxplain.models.detail_encoder import config_for as encoder_config
from histoxplain.models.viscoin.stages import stage_maps
from histoxplain.train import ViscoinConfig, ViscoinTraining
from histoxplain.train.halves import Halves
from histoxplain.train.viscoin_losses import changed_concepts

SHAPE = {"resolution": 16, "channel_base": 256, "channel_max": 16, "z_dim": 8, "w_dim": 8, "mapping_layers": 2}
TINY = {"batch": 8, "width": 8, "concepts": 4, "warm_kimg": 0, "device": "cpu", "precision": "float32"}


class Redness(nn.Module):
    """Two classes: whether there is more red than none; its maps are the image, shrunk."""

    class_names, channels, resolution = ("cold", "red"), 3, 16

    def __init__(self):
        super().__init__()
        self.shrink = nn.AvgPool2d(2)

    def forward(self, x):
        red = 20 * self.shrink(x)[:, 0].mean((1, 2))
        return torch.stack([-red, red], 1)


def networks(c_dim=2):
    torch.manual_seed(0)
    G = Generator(GeneratorConfig(c_dim=c_dim, **SHAPE)).eval().requires_grad_(False)
    E = DetailEncoder(encoder_config(G, width=8, depth=1)).eval().requires_grad_(False)
    return Redness(), G, E


def pixels():
    """Half of them red, half not, with one dark spot somewhere."""
    x = np.full((8, 3, 16, 16), 130, np.uint8)
    x[::2, 0] = 200
    x[1::2, 0] = 60
    for i in range(8):
        x[i, :, i : i + 6, 8 - i : 14 - i] = 40
    return torch.from_numpy(x)


def training(encoder=False, c_dim=2, **settings):
    C, G, E = networks(c_dim)
    one = ViscoinTraining(pixels(), C, G, ViscoinConfig(**TINY | settings), E if encoder else None)
    one.prepare(quiet=True)
    return one


def means(values, part):
    return {name: torch.stack(v[part]).mean().item() for name, v in values.items()}


def test_concepts_come_to_agree_with_the_classifier():
    one = training(warm_kimg=10, lr=0.01)
    for _ in range(220):
        one.step()
    assert "l1" not in one.sums  # no image was drawn
    early, late = means(one.sums, slice(0, 20)), means(one.sums, slice(-20, None))
    assert late["fidelity"] < 0.7 * early["fidelity"]
    assert late["agrees"] > 0.8 > early["agrees"]
    assert not any(p.requires_grad for network in (one.C, one.G) for p in network.parameters())


@pytest.mark.parametrize(("encoder", "c_dim", "term"), [(False, 0, "follow"), (True, 2, "l1")])
def test_concepts_come_to_draw_images(encoder, c_dim, term):
    quiet = {"perceptual_weight": 0, "latent_weight": 0, "regular_weight": 0}
    one = training(encoder, c_dim, lr=0.003, l1_weight=10 * (term == "l1"), **quiet)
    for _ in range(20):
        one.step()
    early, late = means(one.sums, slice(0, 4)), means(one.sums, slice(-4, None))
    assert late[term] < 0.95 * early[term]


def test_published_terms_alone():
    one = training(follow_weight=0, latent_weight=0, redundancy_weight=0, place_weight=0, bounded=1, support="features")
    read = []
    one.C.register_forward_hook(lambda _, args, __: read.append(len(args[0])))
    one.step()
    assert read == [8, 8]  # the images and their reconstructions, and none of them moved
    assert "place" not in one.sums
    assert one.model.omega.reach.isinf()
    assert "follow" not in one.sums
    assert one.sums["perceptual"][0] > 0
    assert one.model.config.support == "features"


def test_resumes_exactly_and_saves_the_concepts(tmp_path):
    settings = {"mirror": True, "quarter_turns": True, "perceptual_weight": 0, "encoder": True}
    whole, first, second = (training(**settings) for _ in range(3))
    for _ in range(4):
        whole.step()
    for _ in range(2):
        first.step()
    first.save(tmp_path, log_lines=3)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(2):
        second.step()
    for network in ("model", "ema"):
        expected, got = (getattr(one, network).state_dict() for one in (whole, second))
        assert all(torch.equal(expected[name], got[name]) for name in expected), network
    assert (second.log_lines, second.images_seen) == (3, 32)
    kept = load_concepts(tmp_path / "concepts.safetensors", *networks())
    assert (kept.config, kept.meta) == (first.ema.config, {"images_seen": 16})


def test_maps_come_to_go_with_what_they_show():
    nothing = dict.fromkeys(("sparsity", "redundancy", "latent", "regular", "fidelity"), 0)
    one = training(warm_kimg=10, lr=0.01, **{f"{name}_weight": value for name, value in nothing.items()})
    for _ in range(40):
        one.step()
    late = means(one.sums, slice(-5, None))
    assert late["place"] < 0.5 * one.sums["place"][0]


def test_averaged_weights_know_what_is_usual_for_them(tmp_path):
    """Over the images that it is measured on, every concept is read as 0 with deviation 1 in every place."""
    one = training(lr=0.01)
    for _ in range(3):
        one.step()
    one.save(tmp_path, log_lines=0)
    x = torch.cat(list(one._typical()))
    assert x.shape == (512, 3, 16, 16)
    psi = load_concepts(tmp_path / "concepts.safetensors", *networks()).psi
    read = psi.read(psi._mixed(stage_maps(one.C, x, psi.config.stages)[1]))
    standard = (read - psi.place_mean) / psi.place_scale
    assert standard.mean(0).abs().max() < 0.02  # half precision
    assert (standard.std(0) - 1).abs().max() < 0.02
    assert not torch.equal(one.model.psi.place_mean, one.ema.psi.place_mean)


def test_sheets(tmp_path):
    one = training()
    one.show(tmp_path)
    for name, size in (("samples", (8 * 16, 3 * 16)), ("concepts", (4 * 16, 6 * 16))):
        with Image.open(tmp_path / f"{name}-000000.png") as sheet:
            assert sheet.size == size


def test_concepts_are_changed_in_three_ways():
    torch.manual_seed(0)
    phi = 1 + torch.arange(300 * 6.0).reshape(300, 6, 1, 1)
    importance = torch.arange(6.0).expand(300, 6)
    changed = changed_concepts(phi, importance, torch.Generator().manual_seed(0))
    factor = (changed / phi)[..., 0, 0]
    removed = ((factor == 0) | (factor == 1)).all(1) & (factor[:, 5] == 0) & (factor.diff(dim=1) <= 0).all(1)
    from_others = (changed - phi).flatten(1).std(1) == 0
    scaled = (factor == factor.round()).all(1) & ~removed & ~from_others
    assert (removed | scaled | from_others).all()
    assert [70 < int(kind.sum()) < 140 for kind in (removed, scaled, from_others)] == [True] * 3
    assert set(factor[removed].sum(1).tolist()) == {3, 4, 5}  # up to half of the concepts are taken away
    assert factor[scaled].max() == 3


def test_halves_are_images_in_one_range_with_their_latents():
    G = networks()[1]
    halves = Halves(pixels(), G, mirror=True, quarter_turns=True)
    real, (fake, ws) = halves.real(8), halves.generated(5)
    assert sorted(real.mean((1, 2, 3)).tolist()) == pytest.approx(
        sorted((pixels().float() / 127.5 - 1).mean((1, 2, 3)).tolist()), abs=1e-6
    )
    assert fake.equal(G.synthesis(ws).clamp(-1, 1))
    assert -1 <= min(real.min(), fake.min()) <= max(real.max(), fake.max()) <= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 2}, "`batch` must be at least 4"),
        ({"concepts": 1}, "`concepts` must be at least 2"),
        ({"follow_weight": -1}, "`follow_weight` must be at least 0"),
        ({"residue": 2}, "`residue` must lie in"),
        ({"bounded": 0}, "`bounded` must lie above 0"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(InputError, match=message):
        ViscoinConfig(**settings)
