"""Volumes become slices whose classes, masks and splits are known from how the bodies were made."""

import json
from itertools import pairwise

import nibabel
import numpy as np

from histoxplain import cli
from histoxplain.data import ImageLMDB, open_source
from histoxplain.data.volumes import prepare_volumes


def run(files, tmp_path, resolution=32, name="a.lmdb", **options):
    volumes, masks = zip(*files)
    options = {"masks": masks, "field": 96.0, "progress": False} | options
    report = prepare_volumes(volumes, tmp_path / name, resolution, **options)
    return report, ImageLMDB(tmp_path / name)


def test_slices_with_and_without_an_organ(files, tmp_path):
    report, source = run(files, tmp_path, organ=["kidney"], test=["bob"], validation_share=0, field=128.0)
    assert source.class_names == ("without kidney", "with kidney")
    assert report.masks == len(source) == 24
    for i, row in enumerate(source.rows):
        labels = nibabel.load(files[row.group == "bob"][1]).get_fdata()
        z = int(row.id[-3:])
        kidney = np.isin(labels[:, :, z], (2, 3))
        assert row.label == int(kidney.any())
        assert int(source[i].mask.sum()) == kidney.sum()  # a pixel is as large as a voxel
        assert row.pixel_spacing == (4.0, 4.0)
    assert {row.group: row.split for row in source.rows} == {"ann": "train", "bob": "test"}
    assert (source.channels, report.filter) == (1, "linear")


def test_an_organ_stands_out_where_its_mask_is(files, tmp_path):
    _, source = run(files, tmp_path, organ=["liver"], window="50/200")
    for case in (source[i] for i in np.flatnonzero(source.labels)):
        if case.mask.sum() > 20:
            assert case.image[0][case.mask].mean() > 0.3  # 100 HU is .5 in this window, the rest of the body -.5
            body = (case.image[0] > -0.9) & ~case.mask
            assert case.image[0][body].mean() < 0


def test_masks_of_another_orientation_and_shape_are_turned_by_their_affines(files, tmp_path):
    _, known = run(files, tmp_path, organ=["liver"])
    for volume, mask in files:
        image = nibabel.load(mask)
        turned = image.as_reoriented(nibabel.orientations.axcodes2ornt("SLP"))  # other axes first
        assert turned.shape != image.shape
        nibabel.save(turned, mask)
        nibabel.save(nibabel.load(volume).as_reoriented(nibabel.orientations.axcodes2ornt("LPS")), volume)
    _, again = run(files, tmp_path, name="b.lmdb", organ=["5"])
    assert again.labels.tolist() == known.labels.tolist()
    assert np.array_equal(again.masks().numpy(), known.masks().numpy())
    assert np.abs(again.pixels().numpy().astype(int) - known.pixels().numpy()).max() <= 1


def test_slices_of_an_earlier_volume_are_left_out(files, tmp_path, save):
    """As a smaller scan cut out of a larger one: training on one and testing on the other would measure nothing."""
    image, labels = map(nibabel.load, files[0])
    part = (save(tmp_path / "part.nii", np.asarray(image.dataobj)[:, :, 7:], image.affine @ lift(7)),)
    part += (save(tmp_path / "part_organs.nii", np.asarray(labels.dataobj)[:, :, 7:], image.affine @ lift(7)),)
    report, source = run([files[0], part, files[1]], tmp_path, organ=["5"], test=["bob"])
    assert {row.group for row in source.rows} == {"ann", "bob"}
    again = {entry.file: entry.reason for entry in report.skipped}
    assert again == {f"part/{z:03d}": f"the same voxels as ann/{z + 7:03d}" for z in range(5)}


def lift(slices):
    affine = np.eye(4)
    affine[2, 3] = slices
    return affine


def test_volumes_stay_whole_when_split_by_chance(files, tmp_path):
    _, source = run(files, tmp_path, organ=["liver"], fractions=(1, 0, 1))
    assert len({(row.group, row.split) for row in source.rows}) == 2


def test_validation_has_blocks_of_training_volumes_or_volumes_of_its_own(files, tmp_path):
    report, source = run(files, tmp_path, organ=["liver"], test=["bob"], validation_share=0.4)
    parts = [row.split for row in source.rows if row.group == "ann"]
    assert set(parts) == {"train", "validation"}
    assert sum(a != b for a, b in pairwise(parts)) == 1  # two blocks
    assert any("blocks of 8 neighbouring slices" in note for note in report.notes)
    _, source = run(files, tmp_path, name="b.lmdb", organ=["liver"], validation=["bob"])
    assert {row.group: row.split for row in source.rows} == {"ann": "train", "bob": "validation"}


def test_anomalies_lie_in_the_organ_and_their_masks_are_the_truth(files, tmp_path):
    options = {"organ": ["liver"], "anomaly": "blob", "draws": 3, "anomaly_share": 0.5, "seed": 4}
    _, organs = run(files, tmp_path, 64, organ=["liver"], test=["bob"])
    report, source = run(files, tmp_path, 64, name="b.lmdb", test=["bob"], **options)
    assert source.class_names == ("without anomaly", "with anomaly")
    assert 0.3 < source.labels.mean() < 0.7
    assert {entry.reason for entry in report.skipped} == {"no room for an anomaly in the organ"}
    for case in source:
        height, _, draw = case.id.partition("-")
        assert draw in "012"
        plain = organs[organs.ids.index(height)]
        changed = (case.image - plain.image)[0]
        assert case.mask.any() == bool(case.label) == bool(changed.abs().max() > 0.1)
        assert not (case.mask & ~plain.mask).any()
        if case.label:
            assert changed[case.mask].min() > changed[~case.mask].max() - 0.02
    _, again = run(files, tmp_path, 64, name="c.lmdb", test=["bob"], **options)
    assert np.array_equal(again.pixels().numpy(), source.pixels().numpy())


def test_without_masks_slices_have_no_class(files, tmp_path):
    report, source = run(files, tmp_path, masks=())
    assert report.masks == 0
    assert set(source.labels) == {-1}
    assert source[0].mask is None


def test_what_is_wrong_is_said_in_one_line(files, tmp_path, capsys, make_body, save):
    (ann, ann_mask), (bob, _) = files
    other = save(tmp_path / "other.nii", *make_body(shift=90.0)[1:])
    bare = save(tmp_path / "bare.nii", make_body()[1], make_body()[2], codes=0)
    for arguments, said in [
        ([ann, "OUT", "--masks", other], "`masks` must cover the place of ann, "),
        ([ann, "OUT", "--masks", bare], "must have an affine"),
        ([ann, bob, "OUT", "--masks", ann_mask], "one for each of 2 volumes"),
        ([ann, "OUT", "--organ", "liver"], "say where the organ is"),
        ([ann, "OUT", "--masks", ann_mask, "--organ", "spleen"], "be one of kidney, liver"),
        ([ann, "OUT", "--masks", ann_mask, "--organ", "9"], "got none with label 9; masks hold kidney_left, "),
        ([ann, "OUT", "--masks", ann_mask, "--organ", "5", "--anomaly", "blob", "--anomaly-size", "300"], "smaller"),
        ([ann, "OUT", "--masks", ann_mask, "--test", "an"], "nearest valid is 'ann'"),
        ([ann, "OUT", "--masks", ann_mask, "--test", "ann"], "leave a volume for training"),
        ([ann, bob, "OUT", "--test", "bob", "--fractions", "1", "1", "1"], "without test and validation"),
        ([ann, ann, "OUT"], "different names"),
        ([ann, "OUT", "--resolution", "100"], "64 and 128"),
        ([ann, "OUT", "--window", "lungs"], "nearest valid is 'lung'"),
        ([ann], "volumes and, last, what to write"),
    ]:
        filled = [str(tmp_path / "a.lmdb") if argument == "OUT" else str(argument) for argument in arguments]
        assert cli.main(["prepare", *filled]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert not list(tmp_path.glob("*lmdb*"))


def test_verb(files, tmp_path, capsys):
    (ann, ann_mask), (bob, bob_mask) = (tuple(map(str, pair)) for pair in files)
    out, common = str(tmp_path / "a.lmdb"), ["--masks", ann_mask, bob_mask, "--resolution", "16", "--test", "bob"]
    assert cli.main(["prepare", ann, bob, out, *common, "--organ", "kidney", "liver"]) == 0
    assert "with kidney or liver: " in capsys.readouterr().out
    anomaly = ["--anomaly", "texture", "--anomaly-vary", ".5"]
    assert cli.main(["prepare", "volumes", ann, bob, out, *common, *anomaly, "--centre", "body", "--overwrite"]) == 0
    assert open_source(out).class_names == ("without anomaly", "with anomaly")
    assert json.loads((tmp_path / "a.lmdb.report.json").read_text())["source"] == f"{ann}, {bob}"


def test_real_volumes(shared, tmp_path):
    folder = shared / "data" / "ct_organs"
    names = ("torso_3mm", "torso_small", "dicom_series")
    volumes = [folder / (name if name == "dicom_series" else f"{name}.nii.gz") for name in names]
    masks = [folder / f"{name}_organs.nii.gz" for name in names]
    options = {"organ": ["liver"], "field": 384, "test": ["dicom_series"], "progress": False}
    report = prepare_volumes(volumes, tmp_path / "a.lmdb", 64, masks=masks, **options)
    assert sum(entry.reason.startswith("the same voxels as torso_3mm/") for entry in report.skipped) == 30
    assert report.classes["with liver"]["test"] == 20
    assert report.classes["with liver"]["train"] + report.classes["with liver"]["validation"] == 43
    liver = ImageLMDB(tmp_path / "a.lmdb", "test")
    for case in liver:
        assert 0.1 < case.image[0][case.mask].mean() < 0.5  # 60 to 140 HU of -160 to 240
        assert case.image[0][case.mask].std() < 0.2
        assert np.nonzero(case.mask.numpy())[1].mean() < 30  # on the right of the patient, left in the picture
