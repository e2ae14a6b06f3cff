"""Slices of a field whose value is known everywhere have the value of their place, whatever grid they come from."""

import numpy as np
import pytest

from histoxplain import InputError
from histoxplain.data.volumes import SliceGrid, Volume, resample, upright


def ramp(right, front, up):
    return 1 * right - 2 * front + 3 * up


def scan(shape=(20, 22, 10), spacing=(3.0, 2.0, 4.0), tilt=0.2):
    affine = np.diag([*spacing, 1.0])
    affine[:2, :2] = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]) @ affine[:2, :2]
    affine[:3, 3] = 5, -7, 11
    places = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    return places, affine


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("resolution", [5, 16, 40])
def test_a_ramp_stays_a_ramp(resolution, turned):
    places, affine = scan()
    values = ramp(*np.moveaxis(places, -1, 0))
    if turned:  # the same voxels, counted from the other ends
        flip = np.diag([-1.0, 1, -1, 1])
        flip[:3, 3] = values.shape[0] - 1, 0, values.shape[2] - 1
        values, affine = values[::-1, :, ::-1], affine @ flip
    volume = upright(values, affine)
    grid = SliceGrid.of(volume, resolution, field=16.0, distance=6.0)
    found = resample(volume, grid, outside=np.nan)
    assert found.shape == (len(grid.heights), resolution, resolution)
    z, rows, columns = np.indices(found.shape)
    right = grid.centre[0] + 8 - (columns + 0.5) * 16 / resolution  # the patient's right is left in the picture
    front = grid.centre[1] + 8 - (rows + 0.5) * 16 / resolution
    known = ramp(right, front, np.array(grid.heights)[z])
    assert np.abs(found - known)[1:-1].max() < (0.05 if resolution > 5 else 0.6)


def test_nearest_labels_are_those_of_the_nearest_voxels():
    labels = np.random.default_rng(0).integers(0, 9, (8, 8, 3)).astype(np.uint8)
    volume = Volume(labels, np.eye(4))
    grid = SliceGrid(16, 8.0, (3.5, 3.5), (0.0, 1.0, 2.0))
    found = resample(volume, grid, order=0)
    assert found.dtype == np.uint8
    assert np.array_equal(found[1], np.kron(labels[::-1, ::-1, 1].T, np.ones((2, 2), dtype=np.uint8)))


def test_beyond_the_volume_lies_its_smallest_value_or_no_label():
    volume = Volume(np.full((4, 4, 2), 7.0), np.eye(4))
    volume.values[0, 0, 0] = -3
    grid = SliceGrid(16, 16.0, (1.5, 1.5), (0.0, 1.0))
    assert resample(volume, grid)[1, 0].tolist() == [-3] * 16
    assert resample(volume, grid, order=0)[1, 0].tolist() == [0] * 16


def test_fine_stripes_do_not_become_coarse_ones():
    stripes = np.tile(np.array([0.0, 1.0])[:, None, None], (32, 64, 2))
    found = resample(Volume(stripes, np.eye(4)), SliceGrid(21, 63.0, (31.5, 31.5), (0.0,)))
    assert found[0, 2:-2, 2:-2].std() < 0.1  # half the amplitude would be 0.5
    assert abs(found[0, 2:-2, 2:-2].mean() - 0.5) < 0.02


def test_own_slices_stay_unless_a_distance_is_asked_for():
    volume = Volume(np.zeros((4, 4, 11)), np.diag([1, 1, 2.5, 1]))
    assert SliceGrid.of(volume, 4, 4.0).heights == tuple(2.5 * np.arange(11))
    assert SliceGrid.of(volume, 4, 4.0, distance=5.0).heights == (0, 5, 10, 15, 20, 25)


@pytest.mark.parametrize("beside", [(0, 12, 0), (9, 0, 3)])
def test_the_body_is_found_wherever_it_lies_in_the_scan(make_body, beside):
    values, _, affine = make_body(shift=8.0)
    values = np.pad(values, [(n, 2) for n in beside], constant_values=-1000.0)
    affine[:3, 3] -= affine[:3, :3] @ beside
    values[2:-2, 0] = 200  # a table
    volume = Volume(values, affine)
    right, front = SliceGrid.of(volume, 16, 128.0, centre="body").centre
    assert abs(right - 8) < 2
    assert abs(front) < 5  # the table may touch the body, and counts then
    assert np.hypot(*(np.array(SliceGrid.of(volume, 16, 128.0).centre) - (8, 0))) > 12
    blank = Volume(np.zeros((5, 5, 5)), np.diag([4.0, 4.0, 4.0, 1.0]))
    assert SliceGrid.of(blank, 4, 4.0, centre="body").centre == (8.0, 8.0)


@pytest.mark.parametrize("odd", [{"field": 0.0}, {"resolution": 0}, {"distance": -1.0}, {"centre": "liver"}])
def test_odd_arguments(odd):
    volume = Volume(np.zeros((4, 4, 4)), np.eye(4))
    with pytest.raises(InputError):
        SliceGrid.of(volume, **{"resolution": 4, "field": 4.0} | odd)
