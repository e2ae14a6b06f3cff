import numpy as np
import pytest
import torch
from skimage import color

from histoxplain import InputError
from histoxplain.data import optical_density, separate_stains
from histoxplain.data.stain import H_AND_E


def test_agrees_with_scikit_image(rng):
    x = torch.rand(2, 3, 9, 7, generator=rng) * 1.8 - 0.8
    h, e = (np.array(v) / np.linalg.norm(v) for v in H_AND_E)
    third = np.cross(h, e)
    unmix = np.linalg.inv(np.stack([h, e, third / np.linalg.norm(third)]))
    rgb = ((x + 1) / 2).permute(0, 2, 3, 1).double().numpy()
    theirs = 6 * color.separate_stains(rgb, unmix)[..., :2]  # theirs is in units of log10(1e-6)
    assert np.allclose(separate_stains(x).permute(0, 2, 3, 1).numpy(), theirs, atol=1e-5)


def test_published_vectors_are_unit_vectors_close_to_scikit_images():
    for ours, theirs in zip(H_AND_E, color.rgb_from_hed):
        assert np.linalg.norm(ours) == pytest.approx(1, abs=1e-3)
        assert np.dot(ours, theirs / np.linalg.norm(theirs)) > 0.98


def test_finds_what_was_mixed_with_any_stains():
    stains = torch.tensor([[0.2, 0.9, 0.4], [0.8, 0.3, 0.1]])
    unit = stains / stains.norm(dim=1, keepdim=True)
    amounts = torch.rand(1, 2, 5, 4, generator=torch.Generator().manual_seed(1))
    light = 10 ** -torch.einsum("nshw,sc->nchw", amounts, unit)
    assert torch.allclose(separate_stains(2 * light - 1, 3 * stains), amounts, atol=1e-5)


def test_density_ends_at_what_8_bits_know():
    assert optical_density(torch.tensor([-1.0, -2.0, 1.0, 2.0])).tolist() == pytest.approx(
        [2.4065, 2.4065, 0, 0], abs=1e-4
    )


@pytest.mark.parametrize(
    ("x", "stains", "message"),
    [
        (torch.zeros(1, 1, 4, 4), H_AND_E, "3 channels"),
        (torch.zeros(3, 4, 4), H_AND_E, "shape"),
        (torch.zeros(1, 3, 4, 4), [[1, 0, 0]], "two vectors"),
        (torch.zeros(1, 3, 4, 4), [[1, 0, 0], [0, 0, 0]], "absorb"),
        (torch.zeros(1, 3, 4, 4), [[1, 1, 0], [2, 2, 0]], "differ in colour"),
    ],
)
def test_bad_input(x, stains, message):
    with pytest.raises(InputError, match=message):
        separate_stains(x, stains)
