import numpy as np
import pytest
import torch
from PIL import Image

from histoxplain import InputError
from histoxplain.data import UnreadableImageError, read_image, square, to_uint8, to_unit
from histoxplain.data.transforms import open_picture


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def test_units_round_trip_on_every_byte():
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_unit(every)), every)
    assert to_unit(every)[[0, 255]].tolist() == [-1, 1]


def test_uint8_clamps_and_truncates():
    assert to_uint8(torch.tensor([-9.0, 9.0, 0.0, 1 / 127.5 * 0.99])).tolist() == [0, 255, 128, 128]


@pytest.mark.parametrize("wrong", [torch.zeros(3), torch.zeros(3, dtype=torch.int64)])
def test_to_unit_refuses_other_types(wrong):
    with pytest.raises(InputError, match="uint8"):
        to_unit(wrong)


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (33, 33), (8, 100)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_square_is_pillows_lanczos_of_the_central_square(make_picture, size, mode):
    picture = make_picture(size=size, mode=mode)
    array = np.array(picture)
    side = min(size)
    top, left = (size[1] - side) // 2, (size[0] - side) // 2
    centre = Image.fromarray(array[top : top + side, left : left + side])
    expected = np.array(centre.resize((16, 16), Image.Resampling.LANCZOS))
    pixels = torch.from_numpy(array[None] if mode == "L" else array.transpose(2, 0, 1))
    assert np.array_equal(square(pixels, 16).permute(1, 2, 0).squeeze().numpy(), expected)


def test_rgb_png_is_read_as_it_is(tmp_path, make_picture):
    picture = make_picture()
    picture.save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png").permute(1, 2, 0).numpy(), np.array(picture))


def test_grey_becomes_three_equal_channels(tmp_path, make_picture):
    make_picture(mode="L").save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (3, 20, 24)
    assert torch.equal(image[0], image[2])
    assert torch.equal(read_image(tmp_path / "a.png", channels=1), image[:1])


def test_16_bit_is_scaled_by_its_white(tmp_path):
    ramp = np.tile(np.linspace(0, 65535, 16).astype(np.uint16), (16, 1))
    path = save(tmp_path / "a.png", ramp)
    assert read_image(path, 1)[0, 0].tolist() == [17 * i for i in range(16)]
    path = save(tmp_path / "b.tif", (ramp // 16).astype(np.uint16))
    assert read_image(path, 1, white=4095)[0, 0].tolist() == [17 * i for i in range(16)]


def test_transparency_lies_over_white(tmp_path):
    rgba = np.zeros((16, 16, 4), np.uint8)
    rgba[:8, :, 3] = 255
    image = read_image(save(tmp_path / "a.png", rgba))
    assert image[:, :8].max() == 0
    assert image[:, 8:].min() == 255
    grey = save(tmp_path / "b.png", rgba[..., 2:])
    assert torch.equal(read_image(grey), image)


def test_palette_gives_its_colours(tmp_path):
    picture = Image.new("P", (16, 16), 1)
    picture.putpalette([0, 0, 0, 200, 100, 50])
    picture.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[:, 3, 3].tolist() == [200, 100, 50]
    picture.save(tmp_path / "b.gif", transparency=1)
    assert read_image(tmp_path / "b.gif")[:, 3, 3].tolist() == [255, 255, 255]


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    red, green, blue = read_image(tmp_path / "a.jpg")[:, 8, 8].tolist()
    assert red > 240
    assert max(green, blue) < 15


def test_exif_rotation_is_applied(tmp_path, make_picture):
    picture = make_picture(size=(30, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    picture.save(tmp_path / "a.png", exif=exif)
    expected = picture.transpose(Image.Transpose.ROTATE_270)
    assert np.array_equal(np.array(open_picture(tmp_path / "a.png")), np.array(expected))


def test_first_frame_counts(tmp_path, make_picture):
    first, second = make_picture(1), make_picture(2)
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    assert np.array_equal(np.array(open_picture(tmp_path / "a.tif")), np.array(first))


def broken_files(root, picture):
    root.mkdir(exist_ok=True)
    (root / "text.png").write_text("this is no image")
    (root / "empty.png").touch()
    picture.resize((200, 200)).save(root / "whole.jpg")
    data = (root / "whole.jpg").read_bytes()
    (root / "cut.jpg").write_bytes(data[: len(data) // 2])
    (root / "whole.jpg").unlink()
    picture.save(root / "whole.png")
    data = (root / "whole.png").read_bytes()
    (root / "cut.png").write_bytes(data[: len(data) // 2])
    (root / "whole.png").unlink()
    picture.resize((1, 1)).save(root / "tiny.png")
    save(root / "float.tif", np.zeros((16, 16), np.float32))
    return sorted(root.iterdir())


def test_broken_files_are_refused_with_the_reason(tmp_path, make_picture):
    reasons = {}
    for path in broken_files(tmp_path, make_picture()):
        with pytest.raises(UnreadableImageError) as error:
            open_picture(path)
        reasons[path.name] = error.value.reason
        assert str(path) in str(error.value)
    assert len(reasons) == 6
    assert reasons["text.png"] == "not an image in a known format"
    assert reasons["empty.png"] == "the file is empty"
    assert reasons["tiny.png"].startswith("1x1 pixels")
    assert "truncated" in reasons["cut.jpg"]
    assert reasons["float.tif"].startswith("floating-point")


def test_missing_file_names_the_nearest(tmp_path, make_picture):
    make_picture().save(tmp_path / "image.png")
    with pytest.raises(InputError, match=r"image\.png"):
        open_picture(tmp_path / "imagge.png")
