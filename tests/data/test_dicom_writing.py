import pytest
import torch

from histoxplain import InputError
from histoxplain.data import read_image
from histoxplain.data.dicom_writing import with_strip, write_synthetic

pydicom = pytest.importorskip("pydicom", reason="needs the extra `dicom`")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [32, 61, 128])
def test_pixels_come_back_under_a_strip_of_text(tmp_path, rng, channels, side):
    u8 = torch.randint(0, 256, (channels, side, side), generator=rng, dtype=torch.uint8)
    path = write_synthetic(tmp_path / "a.dcm", u8, "counterfactual: NORMAL", "how", pixel_spacing=(0.5, 0.25))
    found = read_image(path, channels=channels)
    assert torch.equal(found[:, -side:, :side], u8)
    strip = found[:, :-side]
    assert strip.min() == 0
    assert strip.max() > 230
    assert 0.02 < (strip > 128).float().mean() < 0.5  # text, neither empty nor a bar
    blank = with_strip(torch.zeros_like(u8), ["counterfactual: NORMAL"])
    assert blank.shape[1] < found.shape[1]  # the warning takes room of its own


def test_tags_say_that_it_is_synthetic_and_nobodys(tmp_path):
    u8 = torch.zeros(1, 64, 64, dtype=torch.uint8)
    path = write_synthetic(tmp_path / "a.dcm", u8, "counterfactual: NORMAL", "by a method", pixel_spacing=(0.5, 0.25))
    found = pydicom.dcmread(path)
    assert found.SOPClassUID.name == "Secondary Capture Image Storage"
    assert list(found.ImageType) == ["DERIVED", "SECONDARY"]
    assert (found.ConversionType, found.BurnedInAnnotation, found.Modality) == ("SYN", "YES", "OT")
    assert found.DerivationDescription == "by a method"
    assert "SYNTHETIC" in found.SeriesDescription
    assert [float(mm) for mm in found.PixelSpacing] == [0.5, 0.25]
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "AccessionNumber"):
        assert found[name].is_empty
    another = pydicom.dcmread(write_synthetic(tmp_path / "b.dcm", u8, "a", "b"))
    for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        assert found[name].value != another[name].value
        assert found[name].value.is_valid


def test_too_long_a_description_is_refused(tmp_path):
    with pytest.raises(InputError, match="1,024"):
        write_synthetic(tmp_path / "a.dcm", torch.zeros(1, 64, 64, dtype=torch.uint8), "a", "x" * 1025)
    assert list(tmp_path.iterdir()) == []
