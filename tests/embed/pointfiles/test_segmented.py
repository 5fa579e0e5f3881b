"""Tests of embed/pointfiles/segmented.py: places deep in segments, whatever the blocks."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from embed.errors import DataError, OutOfBoundsError
from embed.geometry import Box
from embed.pointfiles import segmented
from embed.pointfiles.segmented import points_of_segments
from tests.tubes import ALONE, LOWER, SHAPE, SPECK, UPPER, tubes

FOV = (7, 7, 8)


@pytest.fixture
def segmentation(write_volume):
    return write_volume(tubes(), name="tubes.zarr")


def as_rows(found):
    table = found.table
    return np.column_stack([table.segments, table.sources, table.positions]).tolist()


def test_places_are_deep_in_the_segments_that_they_are_said_to_be_in(segmentation):
    ids = tubes()

    found = points_of_segments(segmentation, FOV, 20)

    table = found.table
    assert np.unique(table.segments, return_counts=True)[1].tolist() == [20, 20, 20]
    assert set(table.segments.tolist()) == {UPPER, LOWER, ALONE}
    middle = np.floor(table.positions).astype(int)
    np.testing.assert_array_equal(ids[tuple(middle.T)], table.segments)
    for segment in (UPPER, LOWER, ALONE):
        mine = middle[table.segments == segment]
        depth = 10 * ndimage.distance_transform_edt(ids == segment)
        assert depth[tuple(mine.T)].min() >= 20  # 30 nm on a grid of 20 nm
        assert len(np.unique(mine, axis=0)) == 20
    assert table.sources.tolist() == list(range(20)) * 3


def test_fields_of_view_fit_and_have_their_segment_in_the_middle(segmentation):
    table = points_of_segments(segmentation, FOV, 500, depth_nm=0.0).table

    points, left_out = table.within(segmentation.box, FOV)

    assert left_out == 0
    for i in range(points.size):
        box = points.box(i)
        z, y, x = (a + n // 2 for a, n in zip(box.start, FOV, strict=True))
        assert tubes()[z, y, x] == points.segments[i]


def test_segments_without_a_place_are_told(segmentation):
    found = points_of_segments(segmentation, FOV, 5)
    asked = points_of_segments(segmentation, FOV, 5, segments=[SPECK, UPPER, 2**64 - 1])

    assert found.shallow.tolist() == [SPECK]
    assert found.absent.tolist() == []
    assert (asked.shallow.tolist(), asked.absent.tolist()) == ([SPECK], [2**64 - 1])
    assert set(asked.table.segments.tolist()) == {UPPER}


def test_where_no_segment_has_a_place_there_is_no_table(segmentation):
    found = points_of_segments(segmentation, FOV, 5, segments=[SPECK, 3])

    assert found.table is None
    assert (found.shallow.tolist(), found.absent.tolist()) == ([SPECK], [3])


def test_a_segment_too_thin_for_the_grid_of_candidates_is_told(write_volume):
    ids = np.zeros((20, 20, 20), np.uint16)
    ids[9, 9, 1::2] = 4

    found = points_of_segments(write_volume(ids), (3, 3, 3), 5)

    assert found.shallow.tolist() == [4]


@pytest.mark.parametrize("block", [1, 9, 24, 1000])
def test_places_do_not_depend_on_the_blocks_that_are_read(segmentation, monkeypatch, block):
    whole = points_of_segments(segmentation, FOV, 9)

    monkeypatch.setattr(segmented, "_BLOCK", block)
    monkeypatch.setattr(segmented, "_GATHERED", 10)
    parts = points_of_segments(segmentation, FOV, 9)

    assert as_rows(parts) == as_rows(whole)
    assert parts.shallow.tolist() == whole.shallow.tolist()


def test_places_do_not_depend_on_the_order_of_blocks(segmentation, monkeypatch):
    whole = points_of_segments(segmentation, FOV, 9)

    monkeypatch.setattr(segmented, "_BLOCK", 16)
    tiles = Box.tiles
    monkeypatch.setattr(Box, "tiles", lambda box, tile: reversed(list(tiles(box, tile))))
    backwards = points_of_segments(segmentation, FOV, 9)

    assert as_rows(backwards) == as_rows(whole)


def test_more_places_are_the_same_and_more(segmentation):
    few = points_of_segments(segmentation, FOV, 3)
    many = points_of_segments(segmentation, FOV, 30)

    assert {tuple(row) for row in as_rows(few)} < {tuple(row) for row in as_rows(many)}


def test_another_seed_gives_other_places(segmentation):
    one, two = (points_of_segments(segmentation, FOV, 9, seed=seed) for seed in (0, -1))

    assert as_rows(one) == as_rows(points_of_segments(segmentation, FOV, 9, seed=0))
    same = {tuple(p) for p in one.table.positions} & {tuple(p) for p in two.table.positions}
    assert len(same) < 9


def test_places_are_spread_over_the_cells_that_a_segment_enters(segmentation):
    ids = tubes()
    everything = points_of_segments(segmentation, FOV, 100_000).table

    table = points_of_segments(segmentation, FOV, 8).table

    for segment in (UPPER, LOWER, ALONE):
        cells, entered = (
            np.unique(np.floor(t.positions[t.segments == segment]) // FOV, axis=0)
            for t in (table, everything)
        )
        assert len(cells) == min(8, len(entered))
    assert len(everything) < ids.size


def test_a_volume_that_does_not_begin_at_zero_has_its_places_moved(segmentation):
    shifted = segmentation.store.translate_by[[-5, 100, 7]]
    moved = dataclasses.replace(
        segmentation, store=shifted, box=segmentation.box.shifted((-5, 100, 7))
    )

    found, here = (points_of_segments(v, FOV, 9).table for v in (moved, segmentation))

    np.testing.assert_array_equal(found.positions, np.add(here.positions, (-5, 100, 7)))
    np.testing.assert_array_equal(found.segments, here.segments)


def test_thick_sections_are_thinned_only_along_the_sections(write_volume):
    ids = np.zeros((9, 60, 60), np.uint64)
    ids[:, 10:50, 10:50] = 2**63 + 9
    volume = write_volume(ids, (45.0, 5.0, 5.0))

    table = points_of_segments(volume, (3, 9, 9), 10_000).table

    z, y, x = np.floor(table.positions).astype(int).T
    assert set(table.segments.tolist()) == {2**63 + 9}
    assert set(z.tolist()) == set(range(1, 8))
    assert (set((y % 4).tolist()), set((x % 4).tolist())) == ({0}, {0})
    assert (y.min(), y.max()) == (20, 40)


def test_what_is_no_segmentation_is_refused(write_volume):
    with pytest.raises(DataError, match="holds float32; the ids of a segmentation are whole"):
        points_of_segments(write_volume(np.zeros(SHAPE, np.float32)), FOV, 5)
    negative = write_volume(np.full(SHAPE, -3, np.int32), name="negative.zarr")
    with pytest.raises(DataError, match="has a segment -3; ids start at 0"):
        points_of_segments(negative, FOV, 5)


def test_a_segmentation_smaller_than_the_field_of_view_is_refused(segmentation):
    with pytest.raises(OutOfBoundsError, match="is smaller than the field of view"):
        points_of_segments(segmentation, (7, 7, 1000), 5)
