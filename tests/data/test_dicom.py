import shutil

import numpy as np
import pytest

from histoxplain import InputError
from histoxplain.data import open_source, prepare, read_image
from histoxplain.data.transforms import UnreadableImageError

pydicom = pytest.importorskip("pydicom", reason="needs the extra `dicom`")


def write(path, values, photometric="MONOCHROME2", **more):
    """A DICOM file, uncompressed."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = 3 if values.ndim == 3 else 1
    dataset.PhotometricInterpretation = photometric
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.BitsAllocated = dataset.BitsStored = 8 * values.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    if values.ndim == 3:
        dataset.PlanarConfiguration = 0
    for name, value in more.items():
        setattr(dataset, name, value)
    dataset.PixelData = values.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_eight_bits_are_taken_as_they_are(tmp_path):
    assert np.array_equal(read_image(write(tmp_path / "a.dcm", RAMP), channels=1)[0].numpy(), RAMP)
    assert np.array_equal(read_image(write(tmp_path / "b.dcm", RAMP, "MONOCHROME1"), channels=1)[0].numpy(), 255 - RAMP)


def test_window_is_in_rescaled_values(tmp_path):
    values = np.arange(256, dtype=np.int16).reshape(16, 16)
    options = {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": [100, 0], "WindowWidth": [201, 1]}
    found = read_image(write(tmp_path / "a.dcm", values, **options), channels=1)[0].numpy()
    expected = np.clip((2.0 * values - 100 + 0.5) / 199, 0, 1)  # PS3.3: from 100 - 100.5 to 100 + 99.5
    assert np.abs(found / 255 - expected).max() < 0.01
    assert (found.min(), found.max()) == (0, 255)


def test_without_a_window_smallest_is_black_and_largest_is_white(tmp_path):
    values = (np.arange(256, dtype=np.uint16) * 3 + 1000).reshape(16, 16)
    assert np.array_equal(read_image(write(tmp_path / "a.dcm", values), channels=1)[0].numpy(), RAMP)


def test_colour(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    found = read_image(write(tmp_path / "a.dcm", values, "RGB"))
    assert np.array_equal(found.permute(1, 2, 0).numpy(), values)


def test_damaged_files(tmp_path):
    path = write(tmp_path / "a.dcm", RAMP)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UnreadableImageError):
        read_image(path)
    path.write_text("no DICOM")
    with pytest.raises(UnreadableImageError):
        read_image(path)


def rsna(root):
    lines = ["patientId,x,y,width,height,Target", "p1,,,,,0", "p2,1,2,3,4,1", "p2,5,6,7,8,1", "p3,,,,,0"]
    for i, person in enumerate(("p1", "p2", "p3")):
        write(root / "stage_2_train_images" / f"{person}.dcm", np.roll(RAMP, i))
    write(root / "stage_2_test_images" / "p9.dcm", RAMP)
    (root / "stage_2_train_labels.csv").write_text("\n".join(lines))
    return root


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_rsna_pneumonia(tmp_path, form):
    root = rsna(tmp_path / "rsna")
    source = shutil.make_archive(str(tmp_path / "rsna"), "zip", root) if form == "zip" else root
    report = prepare(source, tmp_path / "a.lmdb", 16, progress=False)
    found = open_source(tmp_path / "a.lmdb")
    assert (found.class_names, found.labels.tolist()) == (("no pneumonia", "pneumonia"), [0, 1, 0])
    assert (found.groups, found.channels) == (["p1", "p2", "p3"], 1)
    skipped = {entry.file: entry.reason for entry in report.skipped}
    assert skipped["stage_2_test_images/p9.dcm"] == "has no line in stage_2_train_labels.csv"
    assert np.array_equal(found.pixels()[1, 0].numpy(), np.roll(RAMP, 1))


def test_rsna_with_odd_targets(tmp_path):
    root = rsna(tmp_path / "rsna")
    (root / "stage_2_train_labels.csv").write_text("patientId,Target\np1,yes\n")
    with pytest.raises(InputError, match="`Target` must be 0 or 1"):
        prepare(root, tmp_path / "a.lmdb", 16, progress=False)


def test_says_what_to_install(tmp_path, monkeypatch):
    rsna(tmp_path / "rsna")
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(ImportError, match=r"histoxplain\[dicom\]"):
        prepare(tmp_path / "rsna", tmp_path / "a.lmdb", 16, progress=False)


def test_a_real_scan(shared, tmp_path):
    files = sorted((shared / "data" / "ct_organs" / "dicom_series").glob("CT.*"))
    if not files:
        pytest.skip("there is no DICOM series")
    shutil.copy(files[0], tmp_path / "slice.dcm")
    image = read_image(tmp_path / "slice.dcm", channels=1)
    assert image.shape[0] == 1
    assert image.float().std() > 5
