"""DICOM series that we write ourselves, so that the value of every place in the patient is known."""

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from histoxplain import InputError
from histoxplain.data.volumes import is_volume, read_volume
from histoxplain.data.volumes.slices import check_place

ACROSS, DOWN, NORMAL = np.array([1, 0, 0.0]), np.array([0, 1, 0.0]), np.array([0, 0, 1.0])
ROWS, COLUMNS = (3.0, 2.0)  # mm between rows, between columns
ORIGIN, STEP, COUNT = np.array([-10.0, -20, 30]), 5.0, 4


def hounsfield(left, back, up):
    """Of each place in mm to the left, back and head: whole numbers."""
    return 1 * left + 10 * back + 7 * up


def write_series(folder, across=ACROSS, down=DOWN, numbers=range(COUNT), series="1.2.3", **tags):
    folder.mkdir(exist_ok=True)
    normal = np.cross(across, down)
    for name, k in enumerate(numbers):
        position = ORIGIN + k * STEP * normal
        rows, columns = np.indices((6, 5))
        places = position + columns[..., None] * COLUMNS * across + rows[..., None] * ROWS * down
        stored = (hounsfield(*np.moveaxis(places, -1, 0)) + 1024) / 2
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
        dataset.SeriesInstanceUID, dataset.Modality = series, "CT"
        dataset.ImagePositionPatient = [float(x) for x in position]
        dataset.ImageOrientationPatient = [float(x) for x in (*across, *down)]
        dataset.PixelSpacing, dataset.SliceThickness = [ROWS, COLUMNS], 99
        dataset.InstanceNumber = 50 - k
        dataset.Rows, dataset.Columns = stored.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
        dataset.RescaleSlope, dataset.RescaleIntercept = 2, -1024
        dataset.PixelData = np.rint(stored).astype(np.uint16).tobytes()
        for tag, value in tags.items():
            if value is None:
                delattr(dataset, tag)
            else:
                setattr(dataset, tag, value)
        dataset.save_as(folder / f"slice{(7 * name) % 10}", enforce_file_format=True)
    return folder


TURNED = np.array([0.0, 0, 1]), np.array([1.0, 0, 0])  # rows run to the left, columns to the head: coronal


@pytest.mark.parametrize("axes", [(ACROSS, DOWN), (-ACROSS, DOWN), (ACROSS, -DOWN), TURNED], ids=str)
def test_every_voxel_has_the_value_of_its_place(tmp_path, axes):
    volume = read_volume(write_series(tmp_path / "ct", *axes))
    places = np.moveaxis(np.indices(volume.values.shape), 0, -1) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    right, front, up = np.moveaxis(places, -1, 0)
    assert np.allclose(volume.values, hounsfield(-right, -front, up), atol=1.01)  # stored in steps of 2
    assert (np.diag(volume.affine)[:3] > 0).all()
    assert sorted(volume.spacing) == [2, 3, 5]
    assert volume.values.size == 6 * 5 * 4


def test_order_comes_from_places_not_from_names_or_numbers(tmp_path):
    straight = read_volume(write_series(tmp_path / "a"))
    mixed = read_volume(write_series(tmp_path / "b", numbers=[2, 0, 3, 1]))
    assert np.array_equal(straight.values, mixed.values)
    assert np.array_equal(straight.affine, mixed.affine)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"numbers": [0, 1, 3, 4]}, "evenly spaced slices, got .* 5 to 10 mm"),
        ({"numbers": [0, 1, 1, 2]}, "evenly spaced"),
        ({"numbers": [0]}, "with 1 slices"),
        ({"ImagePositionPatient": None}, "affine, got .* without ImagePositionPatient"),
        ({"ImageOrientationPatient": None}, "without ImageOrientationPatient"),
        ({"PixelSpacing": None}, "without PixelSpacing"),
        ({"PixelData": b"short"}, "readable slices"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, change, said):
    with pytest.raises(InputError, match=said) as error:
        read_volume(write_series(tmp_path / "ct", **change))
    assert "\n" not in str(error.value)


def test_two_series_in_one_folder(tmp_path):
    write_series(tmp_path / "ct", numbers=[0, 1])
    for file in (tmp_path / "ct").iterdir():
        file.rename(file.with_name(f"first-{file.name}"))
    with pytest.raises(InputError, match=r"one DICOM series, got .* with 2 of them"):
        read_volume(write_series(tmp_path / "ct", series="1.2.4"))


def test_which_folders_are_volumes(tmp_path):
    assert is_volume(write_series(tmp_path / "ct"))
    assert not is_volume(write_series(tmp_path / "x-rays", ImagePositionPatient=None))
    assert not is_volume(tmp_path)
    (tmp_path / "other").mkdir()
    assert not is_volume(tmp_path / "other")


def test_a_real_series_and_its_mask_lie_on_each_other(shared):
    folder = shared / "data" / "ct_organs"
    scan, mask = read_volume(folder / "dicom_series"), read_volume(folder / "dicom_series_organs.nii.gz")
    assert scan.spacing == (0.9765625, 0.9765625, 2.0)
    assert np.allclose(scan.affine, mask.affine, atol=1e-3)
    check_place(scan, mask)
    liver, spleen = (np.percentile(scan.values[mask.values == number], (5, 50)) for number in (5, 1))
    assert 80 < liver[1] < 110  # with contrast agent, in Hounsfield units
    assert liver[0] > 40  # its border is in place: in a mask of another orientation lie fat and air
    assert 70 < spleen[1] < 100
    assert mask.labels[5] == "liver"
