"""Tests of embed/given_shard.py: what is read around given places, and what counts as void."""

import numpy as np
import pytest

from embed.errors import DataError
from embed.geometry import Box
from embed.given_shard import given_parts, read_fields
from embed.normaliser import Normaliser
from embed.points import Points

GREY = Normaliser(100.0, 40.0)


def points_at(places, fov=(7, 7, 7)):
    return Points.at(np.array(places, float), fov=fov, voxel_size_nm=(10.0, 10.0, 10.0))


def embedded(backend, fields):
    void, parts = given_parts(backend, GREY, fields)
    found = [(cells, vectors[0, 0]) for cells, vectors in parts]
    return void[0, 0], found


def test_fields_of_view_are_the_voxels_around_the_places(tissue, tissue_volume):
    points = points_at([[10, 20, 30], [20.5, 20.4, 33], [5, 6, 7]])

    fields = read_fields(tissue_volume, None, points, Box((0, 0, 1), (1, 1, 3)))

    assert not np.ma.isMaskedArray(fields)
    for location in (1, 2):
        box = points.box(location)
        np.testing.assert_array_equal(fields[location - 1], tissue[box.slices])


def test_only_the_segment_in_the_middle_is_shown(tissue, tissue_volume, write_volume):
    labels = np.zeros(tissue.shape, np.uint32)
    labels[:, :, 10:14], labels[:, :, 14:30] = 5, 6
    points = points_at([[20.5, 20.5, 12.5], [20.5, 20.5, 16.5], [20.5, 20.5, 8.5]])

    fields = read_fields(tissue_volume, write_volume(labels), points, points.cells)

    shown = ~np.ma.getmaskarray(fields)
    assert shown[0, 3, 3].tolist() == [False, True, True, True, True, False, False]
    assert shown[1, 3, 3].tolist() == [False] + [True] * 6
    assert not shown[2].any()
    np.testing.assert_array_equal(fields.data[~shown], 0)
    np.testing.assert_array_equal(fields.data[0, :, :, 1:5], tissue[17:24, 17:24, 10:14])


@pytest.mark.parametrize("count", [1, 127, 128, 129, 300])
def test_however_many_places_there_are_each_gets_its_embedding(backend, count):
    fields = np.random.default_rng(0).integers(1, 255, (count, 7, 7, 7)).astype(np.uint8)

    void, found = embedded(backend, fields)

    vectors = np.concatenate([part for _, part in found])
    expected = backend(GREY(fields))[:, 0, 0, 0]
    assert not void.any()
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert [cells.shape[2] for cells, _ in found] == [len(part) for _, part in found]
    assert found[0][0].start == (0, 0, 0)
    assert found[-1][0].stop == (1, 1, count)


def test_a_place_is_void_when_half_of_what_is_shown_is_missing(backend):
    fields = np.full((5, 7, 7, 7), 90, np.uint8)
    fields[..., 0] = 91
    fields[0, :4] = 0  # 4 of 7 sections
    fields[1, :3] = 0
    masked = np.ma.MaskedArray(fields, False)
    masked.mask[2, 2:] = True
    fields[2, 0] = 0  # 1 of 2 sections that are shown
    masked.mask[3] = True
    masked.mask[4, 1:] = True

    assert embedded(backend, fields[:2])[0].tolist() == [True, False]
    assert embedded(backend, masked)[0].tolist() == [True, False, True, True, False]


def test_a_place_that_shows_one_grey_value_is_void(backend):
    fields = np.random.default_rng(0).integers(1, 255, (2, 7, 7, 7)).astype(np.uint8)
    fields[1] = 200

    assert embedded(backend, fields)[0].tolist() == [False, True]


def test_what_is_masked_is_as_the_mean_of_the_volume(backend):
    fields = np.random.default_rng(0).integers(0, 255, (3, 7, 7, 7)).astype(np.uint8)
    mask = np.random.default_rng(1).random(fields.shape) < 0.4

    _, found = embedded(backend, np.ma.MaskedArray(fields, mask))

    expected = backend(GREY(fields) * ~mask)[:, 0, 0, 0]
    np.testing.assert_allclose(found[0][1], expected, atol=1e-5)


def test_nan_that_is_shown_is_refused_and_beside_a_segment_is_not_seen(backend, write_volume):
    grey = np.full((9, 9, 9), 90, np.float32)
    grey[:, :, 8] = np.nan
    labels = np.ones((9, 9, 9), np.uint8)
    labels[:, :, 7:] = 2
    volume, points = write_volume(grey, name="grey.zarr"), points_at([[4.5, 4.5, 5.5]])

    whole = read_fields(volume, None, points, points.cells)
    masked = read_fields(volume, write_volume(labels), points, points.cells)

    with pytest.raises(DataError, match="NaN or infinite"):
        embedded(backend, whole)
    assert np.isfinite(embedded(backend, masked)[1][0][1]).all()
