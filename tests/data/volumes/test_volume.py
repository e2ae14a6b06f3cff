"""Whichever way a grid runs, every voxel stays where it is in the patient; nibabel says the same."""

from itertools import permutations, product

import nibabel
import numpy as np
import pytest

from histoxplain import InputError
from histoxplain.data.volumes import Volume, upright

WAYS = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def grid(order, signs, tilt=0.0):
    """An affine whose axis i runs along direction order[i], forwards or back; tilted by some radians about the head."""
    affine = np.zeros((4, 4))
    for axis, (direction, sign) in enumerate(zip(order, signs)):
        affine[direction, axis] = sign * (2.0, 3.0, 5.0)[axis]
    turn = np.eye(3)
    turn[:2, :2] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:, 3] = 7, -11, 13, 1
    return affine


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_every_voxel_stays_in_its_place_in_all_48_orientations(tilt):
    values = np.arange(60).reshape(3, 4, 5)
    for order, signs in WAYS:
        affine = grid(order, signs, tilt)
        volume = upright(values, affine)
        cosines = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
        assert (np.argmax(np.abs(cosines), 0) == [0, 1, 2]).all()
        assert (np.diag(cosines) > 0).all()
        for place in ((0, 0, 0), (2, 1, 3), (1, 3, 4)):
            mm = affine @ [*place, 1]
            voxel = np.rint(np.linalg.solve(volume.affine, mm)).astype(int)[:3]
            assert volume.values[tuple(voxel)] == values[place]


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_nibabel_agrees(tilt):
    values = np.arange(60.0).reshape(3, 4, 5)
    for order, signs in WAYS:
        image = nibabel.Nifti1Image(values, grid(order, signs, tilt))
        known, volume = nibabel.as_closest_canonical(image), upright(values, image.affine)
        assert np.array_equal(volume.values, known.get_fdata())
        assert np.allclose(volume.affine, known.affine)


def test_slices_are_seen_as_radiologists_do(body):
    labels = body[1]
    seen = labels.axial(7)
    assert np.nonzero(seen == 5)[1].mean() < seen.shape[1] / 2  # the liver is to the right
    kidneys = labels.axial(2)
    assert (np.nonzero(kidneys)[0] > kidneys.shape[0] / 2).all()  # and kidneys are behind, below
    assert np.nonzero(kidneys == 2)[1].mean() < np.nonzero(kidneys == 3)[1].mean()


def test_box_and_spacing():
    volume = Volume(np.zeros((3, 4, 5)), np.array([[2, 0, 0, 1], [0, 3, 0, 1], [0, 0, 5, 1], [0, 0, 0, 1.0]]))
    assert volume.spacing == (2, 3, 5)
    assert [end.tolist() for end in volume.box()] == [[0, -0.5, -1.5], [6, 11.5, 23.5]]


@pytest.mark.parametrize("affine", [np.zeros((4, 4)), np.eye(3), np.diag([1, 1, np.nan, 1])])
def test_no_affine(affine):
    with pytest.raises(InputError, match="affine of three directions"):
        upright(np.zeros((2, 2, 2)), affine)


def test_several_volumes():
    with pytest.raises(InputError, match="three axes, got shape"):
        upright(np.zeros((2, 2, 2, 3)), np.eye(4))
