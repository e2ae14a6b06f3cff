import pytest
import torch

from histoxplain import InputError
from histoxplain.models import Encoder, EncoderConfig, load_encoder, save_encoder

TINY = {"resolution": 16, "channel_base": 128, "channel_max": 8, "w_dim": 4, "num_ws": 6}


@pytest.mark.parametrize("codes", [1, 6])
def test_one_latent_for_all_layers_or_one_each(codes):
    ws = Encoder(EncoderConfig(**TINY, codes=codes))(torch.randn(2, 3, 16, 16))
    assert ws.shape == (2, 6, 4)
    assert torch.equal(ws[:, 0], ws[:, 5]) == (codes == 1)


def test_round_trip(tmp_path):
    E, x = Encoder(EncoderConfig(**TINY)), torch.randn(2, 3, 16, 16)
    save_encoder(tmp_path / "e.safetensors", E)
    torch.testing.assert_close(load_encoder(tmp_path / "e.safetensors", "cpu", "float32")(x), E(x))


def test_bad_input():
    with pytest.raises(InputError, match="16 x 16"):
        Encoder(EncoderConfig(**TINY))(torch.zeros(1, 3, 8, 8))
    with pytest.raises(InputError, match="`codes`"):
        EncoderConfig(**TINY, codes=3)
