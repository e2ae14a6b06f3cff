import numpy as np
import pytest
import torch

from histoxplain._checks import InputError
from histoxplain.explain import load_latents, save_latents


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz"])
def test_there_and_back(bundle, tmp_path, name):
    ws = torch.randn(2, 6, 6)
    assert save_latents(tmp_path / "new" / name, ws.requires_grad_()) == tmp_path / "new" / name
    assert load_latents(tmp_path / "new" / name, bundle.generator).equal(ws.detach())


def test_the_npz_of_stylegan2_ada(bundle, tmp_path):
    """Its projector writes `w` of shape (1, num_ws, w_dim) with np.savez, and its generate.py reads that."""
    np.savez(tmp_path / "projected_w.npz", w=np.full((1, 6, 6), 0.5))
    ws = load_latents(tmp_path / "projected_w.npz", bundle.generator)
    assert (ws.dtype, ws.shape) == (torch.float32, (1, 6, 6))
    with np.load(save_latents(tmp_path / "w.npz", ws)) as arrays:
        assert arrays.files == ["w"]
        assert (arrays["w"] == 0.5).all()


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz"])
def test_something_else(bundle, tmp_path, name):
    path = tmp_path / name
    with pytest.raises(InputError, match="existing file"):
        load_latents(path, bundle.generator)
    for damaged in (b"", b"damaged", b"PK\x03\x04"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="`latents` must be a file of"):
            load_latents(path, bundle.generator)
    save_latents(path, torch.zeros(1, 5, 6))
    with pytest.raises(InputError, match=r"have shape \(N, 6, 6\), got \(1, 5, 6\)"):
        load_latents(path, bundle.generator)


def test_objects_in_an_npz_are_refused(bundle, tmp_path):
    np.savez(tmp_path / "w.npz", w=np.array([print], dtype=object))
    with pytest.raises(InputError, match="`latents` must be a file of"):
        load_latents(tmp_path / "w.npz", bundle.generator)
