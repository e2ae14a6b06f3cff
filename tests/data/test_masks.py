"""Masks of what is diseased go through preparation exactly as their images do."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from histoxplain import InputError
from histoxplain.data import ImageLMDB, open_source, prepare
from histoxplain.data.masks import read_mask


def run(source, destination, resolution=8, **options):
    return prepare(source, destination, resolution, progress=False, **options)


@pytest.fixture
def masks(folder, tmp_path):
    """A mask for every malignant image: red pixels, in files of another format; one lies with a palette."""
    root = tmp_path / "masks"
    (root / "malignant").mkdir(parents=True)
    for file in sorted((folder / "malignant").iterdir()):
        red = np.array(Image.open(file))[..., 0] > 128
        Image.fromarray(red.astype(np.uint8) * 3).save(root / "malignant" / f"{file.stem}.bmp")
    return root


def test_masks_follow_their_images(folder, masks, tmp_path):
    report = run(folder, tmp_path / "a.lmdb", masks=masks)
    source = open_source(tmp_path / "a.lmdb")
    assert report.masks == source.meta["masks"] == 6
    assert any("only 6 of 12" in note for note in report.notes)
    for case in source:
        if case.label == 0:
            assert case.mask is None
            continue
        red = np.array(Image.open(folder / case.id))[:, 2:22, 0] > 128  # the central square of 24 x 20
        nearest = red[np.ix_(*2 * [np.floor((np.arange(8) + 0.5) * 20 / 8).astype(int)])]
        assert case.mask.dtype == torch.bool
        assert torch.equal(case.mask, torch.from_numpy(nearest))


def test_at_its_own_size_a_mask_is_kept_pixel_by_pixel(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    for name, values in (("images", pixels), ("masks", (pixels > 99).astype(np.uint8))):
        (tmp_path / name / "sick").mkdir(parents=True)
        Image.fromarray(values).save(tmp_path / name / "sick" / "a.png")
    run(tmp_path / "images", tmp_path / "a.lmdb", 16, masks=tmp_path / "masks")
    case = open_source(tmp_path / "a.lmdb")[0]
    assert np.array_equal(case.mask.numpy(), pixels > 99)
    assert np.array_equal(case.mask.numpy(), case.image[0].numpy() > 99.5 / 127.5 - 1)


def test_masks_survive_being_prepared_again(folder, masks, tmp_path):
    run(folder, tmp_path / "a.lmdb", 16, masks=masks)
    assert run(tmp_path / "a.lmdb", tmp_path / "b.lmdb", 16).masks == 6
    first, second = ImageLMDB(tmp_path / "a.lmdb"), ImageLMDB(tmp_path / "b.lmdb")
    assert torch.equal(first.masks(range(6, 12)), second.masks(range(6, 12)))
    assert not first.masks(range(6, 12)).all()
    assert first.masks([6]).any()
    with pytest.raises(InputError, match=r"benign/slide0_0\.png has none"):
        first.masks()
    report = run(tmp_path / "a.lmdb", tmp_path / "c.zip", 16)
    assert report.masks == 0
    assert any("masks were left out" in note for note in report.notes)


def test_masks_belong_to_their_split(folder, masks, tmp_path):
    run(folder, tmp_path / "a.lmdb", 16, masks=masks, fractions=(1, 1, 1))
    everything = open_source(tmp_path / "a.lmdb")
    for split in ("train", "validation", "test"):
        for case in open_source(tmp_path / "a.lmdb", split):
            known = everything[everything.ids.index(case.id)].mask
            assert case.mask is known is None or torch.equal(case.mask, known)


def test_older_files_have_no_masks(folder, tmp_path):
    run(folder, tmp_path / "a.lmdb")
    source = ImageLMDB(tmp_path / "a.lmdb")
    source.meta.pop("masks")
    assert source[0].mask is None


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_any_kind_of_mask_file(tmp_path, mode):
    diseased = np.random.default_rng(1).random((9, 10)) > 0.5
    if mode == "I;16":
        picture = Image.fromarray(diseased.astype(np.uint16) * 300)
    elif mode == "P":
        picture = Image.fromarray(diseased.astype(np.uint8) * 7).convert("P")
        picture.putpalette([255, 255, 255] * 256)  # colours that say nothing: the numbers count
    else:
        picture = Image.fromarray(diseased.astype(np.uint8) * 255).convert(mode)
    picture.save(tmp_path / "a.png")
    assert np.array_equal(np.array(read_mask(tmp_path / "a.png")), diseased * 255)


def test_bad_masks_are_told_in_one_line(folder, masks, tmp_path):
    with pytest.raises(InputError, match="folder with a mask"):
        run(folder, tmp_path / "a.lmdb", masks=masks / "malignant" / "slide0_0.bmp")
    with pytest.raises(InputError, match=r"lacks benign/slide0_0\.png and all others"):
        run(folder, tmp_path / "a.lmdb", masks=masks / "malignant")
    with pytest.raises(InputError, match="an LMDB"):
        run(folder, tmp_path / "a.zip", masks=masks)
    with pytest.raises(InputError, match="without boxes"):
        run(folder, tmp_path / "a.lmdb", masks=masks, boxes=True)
    wrong = masks / "malignant" / "slide1_3.bmp"
    Image.new("L", (24, 24)).save(wrong)
    with pytest.raises(InputError, match=r"24 x 20 pixels, got 24 x 24 pixels for malignant/slide1_3\.png"):
        run(folder, tmp_path / "a.lmdb", masks=masks)
    wrong.write_text("no image")
    with pytest.raises(InputError, match=r"readable images, got .*slide1_3\.bmp"):
        run(folder, tmp_path / "a.lmdb", masks=masks)
    assert not list(tmp_path.glob("*a.lmdb*"))


def test_training_does_not_see_masks(folder, masks, tmp_path):
    run(folder, tmp_path / "a.lmdb", masks=masks)
    run(folder, tmp_path / "b.lmdb")
    seen, alone = open_source(tmp_path / "a.lmdb"), open_source(tmp_path / "b.lmdb")
    assert torch.equal(seen.pixels(), alone.pixels())
    assert json.dumps([row.record() for row in seen.rows]) == json.dumps([row.record() for row in alone.rows])
