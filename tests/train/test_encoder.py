import numpy as np
import pytest
import torch
from torch import nn

from histoxplain import InputError
from histoxplain.data import fingerprint, open_source
from histoxplain.data.synthetic import prepare_tissue
from histoxplain.models import DetailEncoder, Generator, GeneratorConfig, load_checkpoint, load_encoder
from histoxplain.models.detail_encoder import config_for
from histoxplain.train import EncoderTraining, EncoderTrainingConfig, train_encoder
from histoxplain.train.encoder import start_encoder
from histoxplain.train.latents import Latents

SHAPE = {"resolution": 16, "channel_base": 256, "channel_max": 16, "z_dim": 8, "w_dim": 8, "mapping_layers": 2}
TINY = {"batch": 8, "width": 8, "depth": 1, "perceptual_weight": 0, "device": "cpu", "precision": "float32"}


class Redness(nn.Module):
    """Two classes: whether there is more red than none."""

    class_names, channels, resolution = ("cold", "red"), 3, 16

    def forward(self, x):
        red = x[:, 0].mean((1, 2))
        return torch.stack([-red, red], 1)


def generator(c_dim=2):
    torch.manual_seed(0)
    return Generator(GeneratorConfig(c_dim=c_dim, **SHAPE)).eval().requires_grad_(False)


def pixels():
    """Grey with one dark spot somewhere, which the latents of a random generator cannot say."""
    x = np.full((8, 3, 16, 16), 150, np.uint8)
    for i in range(8):
        x[i, :, i : i + 6, 8 - i : 14 - i] = 40
    return torch.from_numpy(x)


def training(c_dim=2, **settings):
    config = EncoderTrainingConfig(**TINY | settings)
    return EncoderTraining(pixels(), generator(c_dim), Redness(), config)


@pytest.mark.parametrize("c_dim", [0, 2])
def test_learns_images_and_latents(c_dim):
    one = training(c_dim, lr=0.03, batch=4)
    for _ in range(16):
        one.step()
    early, late = ({name: torch.stack(v[part]).mean() for name, v in one.sums.items()} for part in _ENDS)
    assert late["image"] < 0.75 * early["image"]
    assert late["latent"] < early["latent"]
    assert late["detail"] > 0
    assert not any(p.requires_grad for p in one.G.parameters())


_ENDS = slice(0, 3), slice(-3, None)


def test_resumes_exactly_and_saves_the_encoder(tmp_path):
    settings = {"mirror": True, "quarter_turns": True}
    whole, first, second = (training(**settings) for _ in range(3))
    for _ in range(4):
        whole.step()
    for _ in range(2):
        first.step()
    first.save(tmp_path, log_lines=3)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(2):
        second.step()
    for network in ("E", "ema"):
        expected, got = (getattr(one, network).state_dict() for one in (whole, second))
        assert all(torch.equal(expected[name], got[name]) for name in expected), network
    assert (second.log_lines, second.images_seen) == (3, 32)
    kept = load_encoder(tmp_path / "encoder.safetensors")
    assert (kept.num_ws, kept.config.detail_channels) == (6, 16)
    again = DetailEncoder(kept.config)
    start_encoder(again, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), kept.state_dict().values()))


def test_the_rate_falls_over_the_last_third():
    one = training(kimg=0.3)
    rates = []
    for seen in (0, 200, 250, 300):
        one.images_seen = seen
        rates.append(one._rate())
    assert rates == pytest.approx([1, 1, 0.5, 0])


def test_own_latents_are_as_usual_as_can_be():
    G = generator()
    usual = Latents(G)
    c = torch.arange(2000) % 2
    ws = G.mapping(torch.randn(2000, 8, generator=torch.Generator().manual_seed(9)), torch.eye(2)[c])
    assert usual.unusual(ws, c).mean() == pytest.approx(1, abs=0.05)
    assert usual.unusual(usual.means[:, None], torch.arange(2)).abs().max() < 1e-9
    assert usual.unusual(ws + 5 * usual.deviation, c).mean() > 5


def test_networks_that_do_not_fit():
    class Grey(Redness):
        channels = 1

    class Three(Redness):
        class_names = ("a", "b", "c")

    config = EncoderTrainingConfig(**TINY)
    with pytest.raises(InputError, match="`classifier` must take images of 3 channels"):
        EncoderTraining(pixels(), generator(), Grey(), config)
    with pytest.raises(InputError, match="`classifier` must know the generator's 2 classes"):
        EncoderTraining(pixels(), generator(), Three(), config)
    with pytest.raises(InputError, match="`data` must hold images of the generator's 3 x 16 x 16"):
        EncoderTraining(pixels()[..., :8, :8], generator(), Redness(), config)


def test_the_shape_follows_from_the_generator():
    config = config_for(generator())
    assert (config.num_ws, config.w_dim, config.detail_channels, config.resolution) == (6, 8, 16, 16)


def test_a_whole_training_says_what_it_saw(tmp_path):
    prepare_tissue(tmp_path / "d.lmdb", 30, 16)
    config = EncoderTrainingConfig(**TINY, kimg=0.016, snapshot_kimg=0.016, tick_kimg=0.008)
    path = train_encoder(tmp_path / "d.lmdb", tmp_path / "run", generator(), Redness(), config, quiet=True)
    meta = load_checkpoint(path).meta
    assert meta["images_seen"] == 16
    assert meta["data"] == fingerprint(open_source(tmp_path / "d.lmdb", split="train"))
    assert len((tmp_path / "run/log.jsonl").read_text().splitlines()) == 2
