import numpy as np
import pytest
import torch
from PIL import Image

from histoxplain._checks import InputError
from histoxplain.explain import LatentSearch, StyleSearch, counterfactual, film_of
from histoxplain.explain.mask import mask_of


def three_quarters():
    mask = torch.zeros(16, 16)
    mask[:, :12] = 1
    return mask


def test_outside_the_mask_every_bit_is_the_originals(bundle, colour):
    image = colour(0.1, 0.3, -0.2)
    image[:, :, 12:] = torch.rand(3, 16, 4, generator=torch.Generator().manual_seed(0))
    e = counterfactual(bundle, image, "red", mask=three_quarters(), count=2)
    assert e.valid.all()
    assert e.counterfactuals[..., 12:].equal(e.original[..., 12:].expand_as(e.counterfactuals[..., 12:]))
    assert e.reconstruction[..., 12:].equal(e.original[..., 12:])
    assert (e.counterfactuals[:, 0, :, :12] - e.original[0, :, :12]).mean() > 0.2
    assert e.settings["mask"] == 0.75


def test_the_composite_is_what_is_judged(bundle, colour):
    """Only part of the image can turn red, so that part must turn redder than a whole image would have to."""
    whole = counterfactual(bundle, colour(0.0), "red").counterfactuals[0, 0]
    part = counterfactual(bundle, colour(0.0), "red", mask=three_quarters()).counterfactuals[0, 0]
    assert float(part[:, :12].mean()) > 1.2 * float(whole.mean())
    assert float(part.mean()) == pytest.approx(float(whole.mean()), abs=0.1)


def test_between_black_and_white_lies_a_soft_edge(dials):
    mask = torch.ones(16, 16)
    mask[:, 8:] = 0.5
    (e,) = StyleSearch(dials, mask=mask).explain_latents(torch.zeros(1, 3, 6), "red")
    red = e.counterfactuals[0, 0]
    assert e.valid.all()
    assert float(red[:, 8:].mean()) == pytest.approx(float(red[:, :8].mean()) / 2, abs=0.01)


def test_the_film_keeps_to_the_mask(dials):
    (e,) = LatentSearch(dials, mask=three_quarters()).explain_latents(torch.zeros(1, 3, 6), "red")
    film = film_of(dials, e, steps=3)
    assert film.frames[..., 12:].equal(e.original[..., 12:].expand(3, -1, -1, -1))
    assert film.frames[-1].equal(e.counterfactuals[0])


def test_files_pictures_and_arrays_are_alike(tmp_path):
    u8 = np.zeros((16, 16), np.uint8)
    u8[4:9] = 255
    Image.fromarray(u8).save(tmp_path / "mask.png")
    wanted = torch.from_numpy(u8 / 255).float()
    for mask in (u8, u8 > 0, u8 / 255, tmp_path / "mask.png", Image.fromarray(u8), (u8 > 0).astype(np.uint8)):
        assert mask_of(mask, 16).equal(wanted)


def test_larger_squares_are_averaged():
    mask = torch.zeros(4, 4)
    mask[0, 0] = 1
    assert mask_of(mask, 2).tolist() == [[0.25, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (torch.ones(8, 16), "be 16 x 16 numbers .* got 8 x 16"),
        (torch.ones(3, 16, 16), "got 3 x 16 x 16"),
        (torch.zeros(16, 16), "allow something to change"),
        (torch.full((16, 16), 2.0), "from 0 to 1, got 2 to 2"),
        (torch.full((16, 16), torch.nan), "from 0 to 1"),
        (object(), "array of numbers"),
        ("missing.png", "missing.png"),
    ],
)
def test_what_is_no_mask_is_said_in_one_line(bundle, mask, words):
    with pytest.raises(InputError, match=words) as error:
        LatentSearch(bundle, mask=mask)
    assert "\n" not in str(error.value)
