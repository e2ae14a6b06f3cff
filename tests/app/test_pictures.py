import struct
import zlib

import pytest
import torch
from PIL import Image

from histoxplain._checks import InputError
from histoxplain.app import Limits, example_picture, read_picture
from histoxplain.explain import quantised


@pytest.mark.parametrize("ending", ["png", "tif", "TIFF", "jpg"])
def test_files_become_images_of_the_bundle(bundle, picture_file, ending):
    picture = read_picture(picture_file(f"a.{ending}"), bundle)
    assert picture.image.shape == (3, 16, 16)
    assert abs(float(picture.image[0].mean()) - (230 / 127.5 - 1)) < 0.05
    assert (picture.name, picture.stem, picture.note) == (f"a.{ending}", "a", "")


def test_says_what_was_done(bundle, picture_file):
    note = read_picture(picture_file("b.png", size=(40, 32), mode="L"), bundle).note
    assert note == (
        "Your image was cut to its central square and shrunk to 16 x 16 pixels and given three colours, all equal."
    )
    assert "enlarged to 16 x 16" in read_picture(picture_file("c.png", size=(9, 9)), bundle).note


def test_what_counts_is_in_the_file_not_its_name(bundle, picture_file, tmp_path):
    png = picture_file("d.png").rename(tmp_path / "d.dat")
    assert read_picture(png, bundle).image.shape == (3, 16, 16)
    Image.new("RGB", (16, 16)).save(tmp_path / "gif.png", format="GIF")
    (tmp_path / "svg.png").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(picture_file("e.png").read_bytes()[:200])
    for name in ("gif.png", "svg.png", "empty.png", "cut.png"):
        with pytest.raises(InputError, match="must be a readable image") as caught:
            read_picture(tmp_path / name, bundle)
        assert name in str(caught.value)
        assert str(tmp_path) not in str(caught.value)


def test_large_files_and_large_images_are_refused_before_they_are_decoded(bundle, tmp_path, picture_file):
    with pytest.raises(InputError, match=r"at most 0\.0001 MB"):
        read_picture(picture_file("f.png"), bundle, limits=Limits(megabytes=0.0001))
    for side in (7_000, 60_000):
        chunks = [b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(b"")]
        ends = [struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in chunks]
        (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(ends))
        with pytest.raises(InputError, match="at most 40 million pixels"):
            read_picture(tmp_path / "bomb.png", bundle)


def test_dicom_is_read_whatever_it_is_called(bundle, tmp_path):
    pytest.importorskip("pydicom")
    from histoxplain.data.dicom_writing import write_synthetic

    x = torch.full((3, 64, 64), 190, dtype=torch.uint8)
    scan = write_synthetic(tmp_path / "a.dcm", x, "title", "description").rename(tmp_path / "scan")
    picture = read_picture(scan, bundle)
    assert picture.image.shape == (3, 16, 16)
    assert "Brightness: colours." in picture.note


def test_examples_are_of_the_class_asked_for_and_differ(bundle):
    for label in bundle.class_names:
        picture = example_picture(bundle, label, seed=1)
        p = bundle.classifier.probabilities(picture.image[None])[0]
        assert bundle.class_names[int(p.argmax())] == label
        assert torch.equal(quantised(bundle.generator.synthesis(picture.sample[0][None]))[0], picture.image)
    a, b = (example_picture(bundle, "red", seed=seed) for seed in (0, 1))
    assert not torch.equal(a.image, b.image)
    with pytest.raises(InputError, match="nearest valid is 'red'"):
        example_picture(bundle, "rde")
