import shutil
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
import torch

from histoxplain import InputError
from histoxplain.data import open_source, prepare, read_image, square, to_uint8
from histoxplain.data.transforms import UnreadableImageError, open_picture

pydicom = pytest.importorskip("pydicom", reason="needs the extra `dicom`")
pytest.importorskip("pydicom.data")


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


def grey(path, **options):
    return read_image(path, channels=1, **options)[0].numpy()


def test_any_window_of_several(tmp_path):
    values = np.arange(256, dtype=np.int16).reshape(16, 16) * 8 - 1000
    path = write(tmp_path / "a.dcm", values, WindowCenter=[-600, 40], WindowWidth=[1500, 400])
    assert np.array_equal(grey(path), grey(path, window=1))
    assert np.array_equal(grey(path, window=2), grey(path, window=(40, 400)))
    assert not np.array_equal(grey(path), grey(path, window=2))
    expected = np.rint(255 * np.clip((values - 39.5) / 399 + 0.5, 0, 1))  # PS3.3 C.11.2.1.2.1
    assert np.array_equal(grey(path, window=2), expected)
    with pytest.raises(UnreadableImageError, match=r"has no window 3; its windows are 1: -600/1500, 2: 40/400"):
        grey(path, window=3)


@pytest.mark.parametrize(("kind", "half"), [("SIGMOID", 1 / (1 + np.exp(-1.0))), ("LINEAR_EXACT", 0.75)])
def test_shapes_of_windows(tmp_path, kind, half):
    values = np.full((16, 16), 150, dtype=np.uint16)
    path = write(tmp_path / "a.dcm", values, WindowCenter=100, WindowWidth=200, VOILUTFunction=kind)
    assert grey(path)[0, 0] == round(255 * half)


def test_table_of_shades(tmp_path):
    table = pydicom.Dataset()
    shades = np.arange(255, -1, -1, dtype=np.uint16) * 257
    table.LUTDescriptor, table.LUTData = [256, 0, 16], shades.tobytes()
    table["LUTData"].VR = "OW"
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    path = write(tmp_path / "a.dcm", values, BitsStored=8, HighBit=7, VOILUTSequence=[table])
    assert np.array_equal(grey(path), 255 - RAMP)


def test_twelve_bits_with_an_overlay_above_them(tmp_path):
    values = (np.arange(256, dtype=np.uint16) * 16).reshape(16, 16)
    options = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 2048, "WindowWidth": 4096}
    plain = grey(write(tmp_path / "a.dcm", values, **options))
    drawn = values | 0x8000
    assert np.array_equal(grey(write(tmp_path / "b.dcm", drawn, **options)), plain)
    assert (plain.min(), plain.max()) == (0, 254)


def test_twelve_signed_bits(tmp_path):
    values = (np.arange(256, dtype=np.int16) * 16 - 2048).reshape(16, 16)
    options = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 0, "WindowWidth": 4096}
    stored = (values & 0x0FFF).astype(np.int16)  # the sign stands in bit 11
    found = grey(write(tmp_path / "a.dcm", stored, **options))
    assert np.array_equal(found, grey(write(tmp_path / "b.dcm", values, **options)))
    assert np.array_equal(np.argsort(found, axis=None, kind="stable"), np.arange(256))


def test_padding_is_black_and_does_not_stretch_the_shades(tmp_path):
    values = (np.arange(256, dtype=np.int16) + 1000).reshape(16, 16)
    values[0, :4] = -2000
    for photometric in ("MONOCHROME2", "MONOCHROME1"):
        found = grey(write(tmp_path / "a.dcm", values, photometric, PixelPaddingValue=-2000))
        assert found[0, :4].max() == 0
        share = (values.ravel()[4:] - 1004) / 251
        assert np.array_equal(found.ravel()[4:], np.rint(255 * (share if photometric == "MONOCHROME2" else 1 - share)))


def test_inverse_presentation(tmp_path):
    assert np.array_equal(grey(write(tmp_path / "a.dcm", RAMP, PresentationLUTShape="INVERSE")), 255 - RAMP)
    path = write(tmp_path / "b.dcm", RAMP, "MONOCHROME1", PresentationLUTShape="INVERSE")  # said twice, meant once
    assert np.array_equal(grey(path), 255 - RAMP)


def test_spacing_follows_the_pixels(tmp_path):
    (tmp_path / "source" / "a").mkdir(parents=True)
    values = np.tile(RAMP, (4, 6))  # 64 rows, 96 columns
    write(tmp_path / "source" / "a" / "x.dcm", values, PixelSpacing=[0.5, 0.25])
    write(tmp_path / "source" / "a" / "y.dcm", values, ImagerPixelSpacing=[0.2, 0.2])
    write(tmp_path / "source" / "a" / "z.dcm", values)
    found = open_source(tmp_path / "source")
    assert [case.meta.get("pixel_spacing") for case in found] == [(0.5, 0.25), (0.2, 0.2), None]
    prepare(tmp_path / "source", tmp_path / "a.lmdb", 16, progress=False)
    prepared = open_source(tmp_path / "a.lmdb")
    assert [case.meta.get("pixel_spacing") for case in prepared] == [(2.0, 1.0), (0.8, 0.8), None]
    prepare(tmp_path / "a.lmdb", tmp_path / "b.zip", 8, progress=False)  # from prepared data, half as fine
    assert [case.meta.get("pixel_spacing") for case in open_source(tmp_path / "b.zip")][:2] == [(4.0, 2.0), (1.6, 1.6)]


def test_files_without_an_ending_are_known_by_their_beginning(tmp_path):
    path = write(tmp_path / "IM0001", RAMP)
    assert np.array_equal(grey(path), RAMP)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UnreadableImageError, match=r"IM0001 \(damaged pixels"):
        read_image(path)


def test_missing_windows_are_noted(tmp_path):
    for name in ("x", "y"):
        write(tmp_path / "source" / "a" / f"{name}.dcm", RAMP.astype(np.uint16) * 10)
    report = prepare(tmp_path / "source", tmp_path / "a.lmdb", 16, progress=False)
    assert any(note.startswith("2 DICOM files name no window") for note in report.notes)
    report = prepare(tmp_path / "source", tmp_path / "b.lmdb", 16, window=(1000, 2000), progress=False)
    assert not any("window" in note for note in report.notes)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("rtplan.dcm", "holds no image, but RT Plan Storage"),
        ("reportsi.dcm", "holds no image, but"),
        ("rtdose.dcm", "holds 15 frames"),
        ("MR_truncated.dcm", "damaged pixels"),
        ("MR_small_jpeg_ls_lossless.dcm", "compressed as JPEG-LS Lossless.*pip install pyjpegls"),
        ("SC_rgb_jpeg_gdcm.dcm", "compressed as JPEG Lossless.*pip install pylibjpeg pylibjpeg-libjpeg"),
        ("empty_charset_LEI.dcm", "holds no image"),
    ],
)
def test_what_cannot_be_shown_is_one_clear_line(file, reason, monkeypatch):
    if "compressed" in reason:  # as where no decoder is installed
        monkeypatch.setattr("histoxplain.data.dicom._can_decode", lambda syntax: False)
    with pytest.raises(UnreadableImageError, match=reason) as error:
        read_image(sample(file))
    assert "\n" not in str(error.value)


def sample(name):
    """One of the small files that come with pydicom."""
    path = pydicom.data.get_testdata_file(name, download=False)
    return Path(path) if path else pytest.skip(f"pydicom came without {name}")


@pytest.mark.parametrize(
    "file", ["MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_jp2klossless.dcm"]
)
def test_other_ways_to_store_the_same_pixels(file):
    assert np.array_equal(grey(sample(file)), grey(sample("MR_small.dcm")))


def test_a_ct_of_pydicom_in_hounsfield_units():
    """Air is black and bone is white in a window of soft tissue; the reference is pydicom's own arithmetic."""
    from pydicom.pixels import apply_rescale, pixel_array

    path = sample("CT_small.dcm")
    hounsfield = apply_rescale(pixel_array(path), pydicom.dcmread(path))
    found = grey(path, window=(40, 400))
    assert found[hounsfield < -160].max() == 0
    assert found[hounsfield > 240].min() == 255


def test_names_of_patients_stay_where_they_are(tmp_path):
    """Nothing that a file says of its patient gets into anything that is written."""
    (tmp_path / "source" / "a").mkdir(parents=True)
    original = pydicom.dcmread(sample("CT_small.dcm"))
    shutil.copy(sample("CT_small.dcm"), tmp_path / "source" / "a" / "x.dcm")
    shutil.copy(sample("MR_small.dcm"), tmp_path / "source" / "a" / "y.dcm")
    for name in ("a.lmdb", "a.zip", "a.npz"):
        prepare(tmp_path / "source", tmp_path / name, 16, progress=False)
    secrets = [str(original.PatientName), str(original.PatientID), str(original.StudyInstanceUID), "CompressedSamples"]
    assert all(secrets)
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "source" not in path.parts]
    assert len(written) > 5
    for path in written:
        assert not [secret for secret in secrets if secret.encode() in path.read_bytes()]


def test_a_frame_of_several(tmp_path):
    """Of a dose in 15 frames, each is windowed as a file of its own would be."""
    path = sample("rtdose.dcm")
    stack = pydicom.pixels.pixel_array(path)
    for number in (1, 7, 15):
        one = write(tmp_path / f"{number}.dcm", stack[number - 1])
        assert np.array_equal(grey(path, frame=number), grey(one))
    assert len({grey(path, frame=number).tobytes() for number in (1, 7, 15)}) == 3
    with pytest.raises(UnreadableImageError, match=r"holds 15 frames; name one by its number from 1"):
        read_image(path)
    for number in (0, 16):
        with pytest.raises(UnreadableImageError, match=rf"has no frame {number}; it holds 15, numbered from 1"):
            read_image(path, frame=number)
    assert np.array_equal(grey(sample("CT_small.dcm"), frame=1), grey(sample("CT_small.dcm")))
    with pytest.raises(UnreadableImageError, match="has no frame 2; it holds 1"):
        read_image(sample("CT_small.dcm"), frame=2)


def test_enhanced_files_say_things_of_each_frame(tmp_path):
    """Rescaling, windows and spacing are those of the frame: here the second one is twice as steep."""

    def said(**words):
        inner = pydicom.Dataset()
        for name, value in words.items():
            setattr(inner, name, value)
        return pydicom.Sequence([inner])

    groups = []
    for slope, centre in ((1, 128), (2, 256)):
        group = pydicom.Dataset()
        group.PixelValueTransformationSequence = said(RescaleSlope=slope, RescaleIntercept=0)
        group.FrameVOILUTSequence = said(WindowCenter=centre, WindowWidth=256)
        groups.append(group)
    shared = pydicom.Dataset()
    shared.PixelMeasuresSequence = said(PixelSpacing=[0.5, 0.25])
    values = np.stack([RAMP, RAMP]).astype(np.uint16)
    path = write(tmp_path / "a.dcm", values[0], NumberOfFrames=2)
    dataset = pydicom.dcmread(path)
    dataset.SharedFunctionalGroupsSequence = pydicom.Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = pydicom.Sequence(groups)
    dataset.PixelData = values.tobytes()
    dataset.save_as(path)
    first, second = (open_picture(path, frame=number) for number in (1, 2))
    assert np.abs(np.asarray(first, dtype=int) - RAMP).max() <= 1
    assert np.abs(np.asarray(second, dtype=int) - (2 * RAMP.astype(int) - 128).clip(0, 255)).max() <= 1
    assert first.info["pixel_spacing"] == (0.5, 0.25)


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_folders_of_files_as_scanners_name_them(tmp_path, form):
    """DICOM without an ending, or with a UID for a name, is found; what only looks like it is not."""
    root = tmp_path / "source"
    write(root / "ill" / "IM0001", RAMP)
    write(root / "ill" / "1.2.840.113619.2.55", RAMP.T.copy())
    write(root / "well" / "IM0001", RAMP)
    write(root / "DICOMDIR", RAMP)
    (root / "well" / "LICENSE").write_text("no image")
    (root / "well" / "short").write_bytes(b"")
    source = root
    if form == "zip":
        source = Path(shutil.make_archive(str(tmp_path / "scans"), "zip", root))
    found = open_source(source)
    assert [case.id for case in found] == ["ill/1.2.840.113619.2.55", "ill/IM0001", "well/IM0001"]
    assert found.class_names == ("ill", "well")
    report = prepare(source, tmp_path / "a.lmdb", 16, progress=False)
    assert set(map(astuple, report.skipped)) == {
        (name, "not an image: ending (none)") for name in ("DICOMDIR", "well/LICENSE", "well/short")
    }
    assert len(open_source(tmp_path / "a.lmdb")) == 3


@pytest.mark.parametrize("archive", [False, True])
def test_a_frame_of_several_is_prepared(tmp_path, archive):
    """Of two doses in 15 frames the seventh; a file of one frame has no seventh and is left out."""
    source = tmp_path / "source"
    for folder, file in (("high", "rtdose.dcm"), ("low", "rtdose.dcm"), ("low", "CT_small.dcm")):
        (source / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(sample(file), source / folder / f"{folder}-{file}")
    if archive:
        source = shutil.make_archive(str(tmp_path / "source"), "zip", source)
    reasons = [one.reason for one in prepare(source, tmp_path / "none.zip", 8, progress=False).skipped]
    assert ["holds 15 frames" in reason for reason in reasons] == [True, True]
    report = prepare(source, tmp_path / "a.lmdb", 8, frame=7, progress=False)
    assert [(Path(one.file).name, "has no frame 7" in one.reason) for one in report.skipped] == [
        ("low-CT_small.dcm", True)
    ]
    expected = square(torch.from_numpy(grey(sample("rtdose.dcm"), frame=7))[None], 8)
    for case in open_source(tmp_path / "a.lmdb"):
        assert torch.equal(to_uint8(case.image), expected)
