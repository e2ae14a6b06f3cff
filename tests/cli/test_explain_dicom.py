"""Scans in, and synthetic scans out."""

import numpy as np
import pytest
import torch

from histoxplain.cli import main
from histoxplain.data import read_image, to_uint8
from histoxplain.explain import Attribution, Explanation

pydicom = pytest.importorskip("pydicom", reason="needs the extra `dicom`")
pytestmark = pytest.mark.usefixtures("paint")


def explain(*arguments):
    return main(["explain", *map(str, arguments), "--bundle", "paint", "--film", "3"])


def scan(path, red, **more):
    """A colour scan of somebody."""
    from pydicom.pixels import set_pixel_data

    pixels = np.zeros((32, 32, 3), dtype=np.uint8) + np.array([red, 128, 128], dtype=np.uint8)
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.4567"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Roe^Jane", "MRN-0042", "19700102"
    dataset.StudyInstanceUID, dataset.InstitutionName = "1.2.3.7654", "Saint Elsewhere"
    dataset.PixelSpacing = [0.5, 0.5]
    set_pixel_data(dataset, pixels, "RGB", 8)
    for name, value in more.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_scans_in_and_synthetic_scans_out(tmp_path, capsys):
    path, out = scan(tmp_path / "case.dcm", 230), tmp_path / "out"
    assert explain(path, "--target", "medium", "--count", 2, "--dicom", "--out", out) == 0
    files = sorted((out / "case").glob("*.dcm"))
    assert [file.name for file in files] == ["counterfactual-1.dcm", "counterfactual-2.dcm"]
    record = Explanation.load(out / "case")
    for i, file in enumerate(files):
        found = pydicom.dcmread(file)
        assert [float(mm) for mm in found.PixelSpacing] == [1.0, 1.0]  # 32 pixels became 16
        assert "calls red until it gives medium" in found.DerivationDescription
        shown = read_image(file)[:, -16:, :16]
        assert torch.equal(shown, to_uint8(record.counterfactuals[i]))
    first, second = map(pydicom.dcmread, files)
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    secrets = (b"Roe", b"Jane", b"MRN-0042", b"19700102", b"1.2.3.7654", b"1.2.3.4567", b"Elsewhere")
    written = [file for file in out.rglob("*") if file.is_file()]
    assert len(written) > 6
    assert {file.name: [s for s in secrets if s in file.read_bytes()] for file in written} == {
        file.name: [] for file in written
    }


def test_scans_that_cannot_be_shown(tmp_path, refused):
    headless = pydicom.dcmread(scan(tmp_path / "headless.dcm", 230))
    del headless.PixelData
    headless.save_as(tmp_path / "headless.dcm")
    scan(tmp_path / "frames.dcm", 230, NumberOfFrames=3)
    scan(tmp_path / "cut.dcm", 230, PixelData=b"12")
    for name, expected in (("headless", "holds no image"), ("frames", "holds 3 frames"), ("cut", "damaged pixels")):
        line = refused("explain", tmp_path / f"{name}.dcm", "--bundle", "paint", "--out", tmp_path / "out")
        assert expected in line
    path = scan(tmp_path / "fine.dcm", 230)
    line = refused("explain", path, "--bundle", "paint", "--window", "wide", "--out", tmp_path / "out")
    assert "CENTRE/WIDTH" in line
    assert not (tmp_path / "out").exists()


def test_a_frame_of_a_film(tmp_path):
    """Of a bright and a darker frame the second is explained; the folder's scan has no ending."""
    colours = [np.zeros((32, 32, 3), dtype=np.uint8) + np.array([red, 128, 128], dtype=np.uint8) for red in (230, 30)]
    (tmp_path / "scans").mkdir()
    scan(tmp_path / "scans/IM0001", 230, NumberOfFrames=2, PixelData=b"".join(c.tobytes() for c in colours))
    assert explain(tmp_path / "scans", "--target", "red", "--frame", 2, "--out", tmp_path / "out") == 0
    record = Explanation.load(tmp_path / "out/IM0001")
    assert torch.equal(to_uint8(record.original), torch.from_numpy(colours[1][::2, ::2].copy()).permute(2, 0, 1))


def test_a_frame_of_a_film_is_attributed(tmp_path, refused):
    colours = [np.zeros((32, 32, 3), dtype=np.uint8) + np.array([red, 128, 128], dtype=np.uint8) for red in (230, 30)]
    path = scan(tmp_path / "film.dcm", 230, NumberOfFrames=2, PixelData=b"".join(c.tobytes() for c in colours))
    command = ["attribute", path, "--bundle", "paint", "--method", "occlusion", "--out", tmp_path / "out"]
    assert "holds 2 frames" in refused(*command)
    assert "has no frame 3; it holds 2" in refused(*command, "--frame", 3)
    assert main([str(word) for word in (*command, "--frame", 2)]) == 0
    record = Attribution.load(tmp_path / "out/film/occlusion")
    assert torch.equal(to_uint8(record.original), torch.from_numpy(colours[1][::2, ::2].copy()).permute(2, 0, 1))
