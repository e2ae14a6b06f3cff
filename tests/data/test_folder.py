import pytest
import torch

from histoxplain import InputError
from histoxplain.data import open_source, read_image, to_unit


def test_classes_are_folders_in_alphabetical_order(folder):
    source = open_source(folder)
    assert source.class_names == ("benign", "malignant")
    assert source.labels.tolist() == [0] * 6 + [1] * 6
    assert source.ids[0] == "benign/slide0_0.png"
    assert source.resolution is None
    case = source[7]
    assert (case.label, case.id) == (1, "malignant/slide0_1.png")
    assert torch.equal(case.image, to_unit(read_image(folder / case.id)))
    assert len(list(source)) == len(source) == 12


def test_images_beside_classes_and_flat_folders_are_unlabelled(folder):
    (folder / "benign/slide0_0.png").rename(folder / "loose.png")
    source = open_source(folder)
    assert source[source.ids.index("loose.png")].label is None
    flat = open_source(folder / "malignant")
    assert flat.class_names == ()
    assert set(flat.labels) == {-1}


def test_one_image(folder):
    source = open_source(folder / "benign/slide0_0.png")
    assert source.ids == ["slide0_0.png"]
    assert source[0].image.shape == (3, 20, 24)


def test_hidden_files_and_other_files_do_not_count(folder):
    for name in (".hidden.png", "__MACOSX/benign.png", "notes.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    assert len(open_source(folder)) == 12
    assert open_source(folder).class_names == ("benign", "malignant")


def test_links_to_folders_are_followed_but_not_in_circles(folder, tmp_path):
    (folder / "linked").symlink_to(folder / "benign", target_is_directory=True)
    (folder / "benign" / "up").symlink_to(folder, target_is_directory=True)
    assert len(open_source(folder)) in (12, 18)


def test_bad_input(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="without any"):
        open_source(tmp_path / "empty")
    with pytest.raises(InputError, match="source"):
        open_source(tmp_path / "sourse")
    with pytest.raises(InputError, match="histoxplain prepare"):
        open_source(folder, split="train")
