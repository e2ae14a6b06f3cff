import pytest
import torch
from PIL import Image

from histoxplain._checks import InputError
from histoxplain.data import Case, to_unit
from histoxplain.explain import image_of, quantised


@pytest.fixture
def png(tmp_path):
    def write(mode="RGB", size=(16, 16), colour=None):
        path = tmp_path / f"{mode}-{size[0]}x{size[1]}.png"
        Image.new(mode, size, colour or 0).save(path)
        return path

    return write


def test_every_kind_of_image_comes_out_alike(bundle, tmp_path, rng):
    u8 = torch.randint(0, 256, (3, 16, 16), generator=rng, dtype=torch.uint8)
    x, picture = to_unit(u8), Image.fromarray(u8.permute(1, 2, 0).numpy())
    picture.save(tmp_path / "a.png")
    for image in (x, x[None], Case(x), picture, tmp_path / "a.png", str(tmp_path / "a.png")):
        assert image_of(image, bundle).equal(x)


def test_values_are_those_of_8_bits(rng):
    x = torch.rand(3, 8, 8, generator=rng) * 2.4 - 1.2
    once = quantised(x)
    assert quantised(once).equal(once)
    assert (once - x.clamp(-1, 1)).abs().max() <= 1 / 255 + 1e-6


def test_a_larger_square_is_shrunk(bundle, png):
    assert image_of(png(size=(40, 40)), bundle).shape == (3, 16, 16)


@pytest.mark.parametrize(("mode", "size"), [("RGB", (12, 12)), ("RGB", (40, 20)), ("L", (16, 16)), ("RGBA", (16, 16))])
def test_another_size_or_mode_is_refused_unless_asked_for(bundle, png, mode, size):
    with pytest.raises(InputError, match=r"`image` must .*--fit"):
        image_of(png(mode, size), bundle)
    assert image_of(png(mode, size), bundle, fit=True).shape == (3, 16, 16)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.zeros(3, 16, 16, dtype=torch.uint8), "to_unit"),
        (torch.full((3, 16, 16), 200.0), "127.5"),
        (torch.full((3, 16, 16), float("nan")), "must hold values"),
        (torch.zeros(1, 16, 16), "shape"),
        (torch.zeros(2, 3, 16, 16), "shape"),
        (7, "must be an image"),
        ("nowhere.png", "existing"),
    ],
)
def test_what_is_no_image_is_named(bundle, image, words):
    with pytest.raises(InputError, match=words):
        image_of(image, bundle)


def test_text_renamed_png(bundle, tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(InputError, match="readable image"):
        image_of(tmp_path / "a.png", bundle)
