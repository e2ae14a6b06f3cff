import nibabel
import numpy as np
import pytest

from histoxplain import InputError
from histoxplain.data.volumes import read_volume


@pytest.fixture
def save(tmp_path):
    def write(values, name="a.nii.gz", affine=None, codes=1):
        image = nibabel.Nifti1Image(values, np.diag([1, 2, 3, 1.0]) if affine is None else affine)
        image.set_sform(image.affine, codes)
        image.set_qform(image.affine, codes)
        nibabel.save(image, tmp_path / name)
        return tmp_path / name

    return write


def test_values_places_and_names_of_labels(files):
    volume, labels = map(read_volume, files[0])
    image = nibabel.load(files[0][0])
    assert np.array_equal(volume.values, image.get_fdata())
    assert np.allclose(volume.affine, image.affine)
    assert (volume.name, labels.name) == ("ann", "ann_organs")
    assert labels.labels == {2: "kidney_right", 3: "kidney_left", 5: "liver"}
    assert volume.labels == {}


def test_slope_and_intercept(tmp_path, save):
    path = save(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    image = nibabel.load(path)
    image.header.set_slope_inter(2, -1024)
    scaled = nibabel.Nifti1Image(np.asarray(image.dataobj) * 2.0 - 1024, image.affine)
    scaled.header.set_data_dtype(np.int16)
    nibabel.save(scaled, tmp_path / "b.nii")
    assert np.allclose(read_volume(tmp_path / "b.nii").values, np.arange(24).reshape(2, 3, 4) * 2.0 - 1024, atol=0.01)


def test_a_last_axis_of_one_is_no_axis_and_no_number_is_the_smallest(save):
    values = np.arange(8.0, dtype=np.float32).reshape(2, 2, 2, 1)
    values[1, 1, 1] = np.nan
    assert read_volume(save(values)).values.ravel().tolist() == [0, 1, 2, 3, 4, 5, 6, 0]


def test_without_an_affine(save):
    with pytest.raises(InputError, match=r"`volume` must have an affine, got .*code 0"):
        read_volume(save(np.zeros((2, 2, 2)), codes=0))


def test_several_volumes(save):
    with pytest.raises(InputError, match="three axes"):
        read_volume(save(np.zeros((2, 2, 2, 3))))


def test_damaged_and_other_files(tmp_path, save):
    path = save(np.random.default_rng(0).normal(size=(20, 20, 20)))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="readable NIfTI"):
        read_volume(path)
    (tmp_path / "b.nii").write_text("no volume")
    with pytest.raises(InputError, match="readable NIfTI"):
        read_volume(tmp_path / "b.nii")
    (tmp_path / "c.png").touch()
    with pytest.raises(InputError, match="a NIfTI file"):
        read_volume(tmp_path / "c.png")
    with pytest.raises(InputError, match="existing"):
        read_volume(tmp_path / "d.nii")
