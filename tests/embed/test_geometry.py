"""Tests of embed/geometry.py: boxes, frames and grids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed.errors import OutOfBoundsError
from embed.geometry import Box, Frame, Grid, zyx


def triples(low, high):
    return st.tuples(*[st.integers(low, high)] * 3)


# Corners and sizes: a box is made in the test, because its checks draw random numbers of their own.
boxes = st.tuples(triples(-20, 20), triples(1, 8))
grids = st.tuples(triples(-50, 50), triples(1, 9), triples(1, 5), triples(1, 6))
lengths = st.tuples(*[st.floats(0.5, 100)] * 3)
places = st.lists(st.tuples(*[st.floats(-1e5, 1e5)] * 3), min_size=1, max_size=5)


def _voxels(box):
    return {tuple(np.add(v, box.start).tolist()) for v in np.ndindex(*box.shape)}


@given(boxes, triples(1, 10))
def test_tiles_cover_a_box_exactly_once(box, tile):
    box = Box.of_shape(box[1], box[0])
    seen = np.zeros(box.shape, int)

    for part in box.tiles(tile):
        seen[part.shifted([-a for a in box.start]).slices] += 1
        assert box.contains(part)
        assert all(n <= t for n, t in zip(part.shape, tile, strict=True))

    assert (seen == 1).all()


@given(boxes, triples(1, 9))
def test_snapping_out_gives_the_smallest_box_of_whole_chunks(box, chunk):
    box = Box.of_shape(box[1], box[0])

    snapped = box.snapped_out(chunk)

    assert snapped.contains(box)
    assert not (np.array([snapped.start, snapped.stop]) % chunk).any()
    assert all(a - b < c for a, b, c in zip(box.start, snapped.start, chunk, strict=True))
    assert all(b - a < c for a, b, c in zip(box.stop, snapped.stop, chunk, strict=True))
    assert snapped.snapped_out(chunk) == snapped


@given(boxes, boxes)
def test_an_intersection_holds_the_voxels_that_both_boxes_hold(a, b):
    a, b = (Box.of_shape(shape, start) for start, shape in (a, b))

    common = a.intersection(b)

    assert (_voxels(common) if common else set()) == _voxels(a) & _voxels(b)


@pytest.mark.parametrize("stop", [(0, 4, 4), (4, 4, -1)])
def test_an_empty_box_is_refused(stop):
    with pytest.raises(ValueError, match="start < stop on every axis"):
        Box((0, 0, 0), stop)


@given(lengths, st.tuples(*[st.floats(-1e4, 1e4)] * 3), places)
def test_voxels_and_nanometres_go_there_and_back(voxel_size, origin, voxels):
    frame, voxel = Frame(voxel_size, origin), np.array(voxels)

    back = frame.to_voxel(frame.to_nm_xyz(voxel))

    np.testing.assert_allclose(back, voxel, rtol=1e-9, atol=1e-5)


def test_nanometres_are_xyz_and_count_from_the_lower_corner_of_voxel_zero():
    frame = Frame(voxel_size_nm=(30.0, 8.0, 4.0), origin_nm=(1000.0, 200.0, 50.0))

    nm = frame.to_nm_xyz(np.array([[0.0, 0.0, 0.0], [0.5, 1.5, 2.5]]))

    np.testing.assert_array_equal(nm, [[50, 200, 1000], [60, 212, 1015]])


@pytest.mark.parametrize("size", [(0.0, 1.0, 1.0), (1.0, -2.0, 1.0), (1.0, 1.0, float("nan"))])
def test_a_voxel_size_that_is_no_length_is_refused(size):
    with pytest.raises(ValueError, match="three positive lengths in nm"):
        Frame(size)


@given(grids)
def test_offsets_are_counted_from_the_first_centre(grid):
    grid = Grid(*grid)
    cells = grid.cells_of(np.arange(grid.size))

    offsets = grid.offsets(cells)

    np.testing.assert_allclose(offsets, grid.centres(cells) - grid.centres(cells[:1]))
    assert (offsets == np.rint(offsets)).all()


@pytest.mark.parametrize(
    ("size", "origin", "agrees"),
    [
        ((30.0, 8.0, 8.0), (0.0, 0.0, 0.0), True),
        ((30.02, 8.0, 8.0), (14.0, 3.0, -3.9), True),
        ((30.0, 8.1, 8.0), (0.0, 0.0, 0.0), False),
        ((30.0, 8.0, 8.0), (0.0, 0.0, 4.0), False),
    ],
)
def test_frames_agree_where_voxels_lie_on_voxels(size, origin, agrees):
    assert Frame((30.0, 8.0, 8.0)).agrees(Frame(size, origin)) is agrees


@given(grids)
def test_ids_cells_and_centres_go_there_and_back(grid):
    grid = Grid(*grid)
    ids = np.arange(grid.size)

    cells = grid.cells_of(ids)

    np.testing.assert_array_equal(grid.ids(cells), ids)
    np.testing.assert_array_equal(grid.nearest_cells(grid.centres(cells)), cells)


@given(grids)
def test_the_centre_of_a_cell_is_the_centre_of_the_voxels_it_sees(grid):
    grid = Grid(*grid)
    last = grid.cells_of(np.array([grid.size - 1]))
    box = grid.voxels(Box(zyx(last[0]), zyx(last[0] + 1)))

    assert box.shape == grid.fov
    np.testing.assert_array_equal(grid.centres(last)[0], np.add(box.start, box.stop) / 2)


@given(grids, st.tuples(*[st.floats(-0.49, 0.49)] * 3), st.randoms(use_true_random=False))
def test_a_position_within_half_a_stride_of_a_centre_belongs_to_its_cell(grid, off, random):
    grid = Grid(*grid)
    cell = grid.cells_of(np.array([random.randrange(grid.size)]))

    found = grid.nearest_cells(grid.centres(cell) + np.array(off) * grid.stride)

    np.testing.assert_array_equal(found, cell)


@given(boxes, triples(1, 9), triples(1, 5))
def test_a_grid_holds_every_field_of_view_that_fits_in_a_box_and_no_other(box, fov, stride):
    start, shape = box
    box = Box.of_shape(zyx(np.maximum(shape, fov)), start)

    grid = Grid.covering(box, fov, stride)

    seen = grid.voxels(grid.cells)
    assert seen.start == box.start
    assert box.contains(seen)
    assert all(b - a < s for a, b, s in zip(seen.stop, box.stop, stride, strict=True))


@given(grids, boxes)
def test_the_cells_within_a_box_are_those_whose_field_of_view_it_holds(grid, box):
    grid, box = Grid(*grid), Box.of_shape(zyx(np.multiply(box[1], 4)), box[0])

    found = grid.within(box)

    cells = [zyx(cell) for cell in np.ndindex(grid.shape)]
    held = {c for c in cells if box.contains(grid.voxels(Box.of_shape((1, 1, 1), c)))}
    assert (_voxels(found) if found else set()) == held


@given(grids)
def test_all_cells_are_within_the_voxels_that_they_see_and_none_in_a_voxel_less(grid):
    grid = Grid(*grid)
    seen = grid.voxels(grid.cells)

    assert grid.within(seen) == grid.cells
    assert grid.within(Box(seen.start, zyx(np.add(seen.start, grid.fov)))).size == 1
    assert grid.within(seen.shifted(np.negative(seen.shape).tolist())) is None


def test_a_box_smaller_than_the_field_of_view_is_refused_with_the_size_it_needs():
    with pytest.raises(OutOfBoundsError, match=r"needs at least \(7, 7, 7\) voxels"):
        Grid.covering(Box.of_shape((20, 6, 20)), (7, 7, 7), (2, 2, 2))


GRID = Grid(start=(0, 0, 0), fov=(4, 4, 4), stride=(2, 2, 2), shape=(3, 3, 3))


@pytest.mark.parametrize(
    "position", [(0.9, 2, 2), (2, 2, 7.1), (2, np.nan, 2), (2, 2, np.inf), (-1e30, 2, 2)]
)
def test_a_position_beyond_half_a_stride_is_refused_with_the_range_that_works(position):
    with pytest.raises(OutOfBoundsError, match=r"from \(2.0, 2.0, 2.0\) to \(6.0, 6.0, 6.0\)"):
        GRID.nearest_cells(np.array([[2.0, 2.0, 2.0], position]))


def test_a_position_half_a_stride_outside_still_belongs_to_the_border():
    cells = GRID.nearest_cells(np.array([[1.0, 1.0, 1.0], [7.0, 7.0, 7.0]]))

    np.testing.assert_array_equal(cells, [[0, 0, 0], [2, 2, 2]])


@pytest.mark.parametrize("bad", [-1, 27])
def test_an_id_of_another_grid_is_refused(bad):
    with pytest.raises(OutOfBoundsError, match=f"no location {bad}: ids run from 0 to 26"):
        GRID.cells_of(np.array([0, bad]))
