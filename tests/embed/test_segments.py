"""Tests of embed/segments.py: nodes, contacts and masks, against scipy and hand-made tubes."""

import numpy as np
import pytest
from scipy import ndimage

from embed import segments
from embed.errors import DataError
from embed.evaluation import bodies
from embed.geometry import Box
from embed.segments import depth, moved, numbered, of_centre, survey
from tests.tubes import ALONE, LOWER, SHAPE, SPECK, UPPER, positions, tubes

FOV = (7, 7, 7)
WHOLE = Box.of_shape(SHAPE)


@pytest.fixture
def volumes(write_volume):
    return write_volume(positions()), write_volume(tubes(), name="tubes.zarr")


@pytest.fixture
def near(volumes):
    return survey(*volumes, WHOLE, FOV)


def apart_nm(near, a, b):
    return np.linalg.norm((near.nodes[a] - near.nodes[b]) * 10.0)


@pytest.mark.parametrize("dtype", [np.uint64, np.int32, np.uint8])
def test_labels_count_from_one_and_name_the_ids(dtype):
    ids = np.random.default_rng(0).choice(np.array([0, 3, 9, 250]), (5, 6, 7)).astype(dtype)
    ids[:, :, 3:] = 9

    labels, found = numbered(ids)

    np.testing.assert_array_equal(found[labels], ids)
    assert found.tolist() == [0, 3, 9, 250]
    assert labels.dtype == np.uint8


def test_ids_that_no_float_holds_and_negative_ones_stay_apart():
    big, _ = numbered(np.array([[[2**63 + 1, 2**63 + 2, 0]]], np.uint64))
    negative, ids = numbered(np.array([[[4, -4, 0, -4]]], np.int64))

    assert len(np.unique(big)) == 3
    assert ids[negative].tolist() == [[[4, -4, 0, -4]]]
    assert negative[0, 0, 2] == 0


def test_depth_is_that_of_the_evaluation_where_all_voxels_are_alike():
    labels, _ = numbered(np.kron(np.arange(27).reshape(3, 3, 3), np.ones((7, 8, 9), int)))

    found = depth(labels, np.array([10.0, 10.0, 10.0]), 30.0)

    np.testing.assert_allclose(found, 10 * bodies.depth(labels), rtol=1e-6)


def test_a_border_between_thick_sections_says_nothing_of_depth():
    labels = np.ones((4, 21, 21), np.uint8)
    labels[2:] = 2

    found = depth(labels, np.array([45.0, 5.0, 5.0]), 30.0)

    assert np.isinf(found).all()


@pytest.mark.parametrize("by", [-2, -1, 0, 1, 2])
def test_the_edge_of_a_mask_moves_as_morphology_has_it(by):
    mask = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(12, 13, 14)), 1.5) > 0

    found = moved(mask, by)

    change = ndimage.binary_dilation if by > 0 else ndimage.binary_erosion
    expected = change(mask, iterations=abs(by), border_value=int(by < 0)) if by else mask
    np.testing.assert_array_equal(found, expected)


def test_the_mask_is_of_the_segment_in_the_middle():
    labels = np.zeros((3, 5, 4), np.uint16)
    labels[1, 2, 2:] = 8
    labels[0, 0, 0] = 9

    np.testing.assert_array_equal(of_centre(labels), labels == 8)
    with pytest.raises(DataError, match="belongs to no segment"):
        of_centre(np.zeros((3, 3, 3), np.uint16))


def test_nodes_lie_deep_in_the_segments_that_own_them_and_fields_of_view_in_the_block(near):
    ids = tubes()
    deep = 10 * bodies.depth(ids)

    assert sorted(near.segments.tolist()) == sorted([UPPER, LOWER, ALONE])
    np.testing.assert_array_equal(ids[tuple(near.nodes.T)], near.segments[near.owner])
    assert deep[tuple(near.nodes.T)].min() >= 20  # 30 nm on a grid of 20 nm
    assert (near.nodes >= 3).all()
    assert (near.nodes + 4 <= SHAPE).all()
    assert (np.diff(near.owner) >= 0).all()


def test_a_segment_that_is_small_in_the_block_has_no_nodes(volumes):
    near = survey(*volumes, WHOLE, FOV, depth_nm=0.0, smallest_um3=1e-5)
    fewer = survey(*volumes, WHOLE, FOV, depth_nm=0.0, smallest_um3=1e-3)

    assert SPECK in near.segments
    assert SPECK not in fewer.segments


def test_only_segments_near_each_other_touch(near):
    upper, lower, alone = (near.segments.tolist().index(i) for i in (UPPER, LOWER, ALONE))

    expected = np.zeros((3, 3), bool)
    expected[upper, lower] = expected[lower, upper] = True
    np.testing.assert_array_equal(near.touches, expected)
    assert not near.touches[alone].any()


def test_a_membrane_that_is_left_unlabelled_does_not_part_two_segments(write_volume):
    labels = tubes()
    labels[:, 12:14] = 0
    stored = write_volume(positions()), write_volume(labels, name="parted.zarr")

    assert survey(*stored, WHOLE, FOV).touches.sum() == 2


def test_a_block_of_a_volume_is_as_that_block_alone(volumes, write_volume):
    box = Box((4, 6, 20), (40, 30, 90))
    part = write_volume(tubes()[box.slices], name="part.zarr")

    found = survey(*volumes, box, FOV)

    alone = survey(part, part, Box.of_shape(box.shape), FOV)
    np.testing.assert_array_equal(found.nodes, alone.nodes)
    np.testing.assert_array_equal(found.labels, alone.labels)
    np.testing.assert_array_equal(found.voxels, positions()[box.slices])


def test_places_along_a_segment_are_of_it_and_as_far_as_asked(near):
    rng = np.random.default_rng(0)

    for _ in range(50):
        node = near.anywhere(200.0, rng)
        other = near.along(node, (200.0, 400.0), rng)
        assert near.owner[other] == near.owner[node]
        assert 200 <= apart_nm(near, node, other) < 400


def test_every_segment_is_drawn_as_often_as_another(near):
    rng = np.random.default_rng(0)

    drawn = np.bincount([near.owner[near.anywhere(0.0, rng)] for _ in range(900)])

    assert (drawn > 240).all()


def test_places_beside_are_in_a_segment_that_touches(near):
    rng = np.random.default_rng(0)
    other = {UPPER: LOWER, LOWER: UPPER}

    for _ in range(50):
        node = near.anywhere(0.0, rng)
        beside = near.beside(node, (0.0, 300.0), rng)
        segment = int(near.segments[near.owner[node]])
        assert (beside is None) == (segment == ALONE)
        if beside is not None:
            assert near.segments[near.owner[beside]] == other[segment]
            assert apart_nm(near, node, beside) < 300


def test_what_is_not_there_is_none(near):
    rng = np.random.default_rng(0)

    assert near.anywhere(2000.0, rng) is None
    assert near.along(0, (2000.0, 3000.0), rng) is None


def test_no_more_nodes_are_kept_than_can_be_asked_quickly(volumes, monkeypatch):
    monkeypatch.setattr(segments, "_NODES", 5)

    near = survey(*volumes, WHOLE, FOV)

    assert np.bincount(near.owner).tolist() == [5, 5, 5]


def test_a_block_without_segments_has_no_nodes(write_volume):
    empty = write_volume(np.zeros(SHAPE, np.uint32), name="empty.zarr")

    near = survey(empty, empty, WHOLE, FOV)

    assert len(near.nodes) == len(near.segments) == len(near.extent_nm) == 0
    assert near.anywhere(0.0, np.random.default_rng(0)) is None
