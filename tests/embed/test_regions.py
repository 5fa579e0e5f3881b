"""Tests of embed/regions.py: which cells a box, a mask and segments cover."""

import dataclasses
import math

import numpy as np
import pytest
import tensorstore as ts
from hypothesis import given, settings
from hypothesis import strategies as st

from embed.errors import MismatchError
from embed.geometry import Box, Frame, Grid, zyx
from embed.regions import OpenRegion, Region, require_mask, union

VOLUME_FRAME = Frame((10.0, 10.0, 10.0), (-40.0, 20.0, 0.0))
EVERYWHERE = Box((-999, -999, -999), (999, 999, 999))


def triples(low, high):
    return st.tuples(*[st.integers(low, high)] * 3)


# Finer, equal and coarser than the volume, so that centres fall on edges of voxels and between.
sizes = st.tuples(*[st.sampled_from([2.5, 4.0, 5.0, 10.0, 20.0, 35.0])] * 3)
masks = st.tuples(triples(1, 9), triples(-6, 6), sizes, triples(-30, 30), st.integers(0, 99))
grids = st.tuples(triples(-9, 9), triples(1, 6), triples(1, 5), triples(1, 6))
parts = st.tuples(triples(0, 5), triples(1, 6))
segments = st.sets(st.integers(0, 4), max_size=3)


@pytest.fixture(scope="module")
def mask_of(tissue_volume):
    """Makes a mask in memory of drawn numbers: shape, first voxel, voxel size, origin, seed."""

    def made(drawn):
        shape, start, size, origin, seed = drawn
        values = np.random.default_rng(seed).integers(0, 5, shape).astype(np.uint32)
        store = ts.array(values)[ts.d[:].translate_to[start]][ts.d[:].label["z", "y", "x"]]
        return dataclasses.replace(
            tissue_volume,
            box=Box.of_shape(shape, start),
            frame=Frame(size, tuple(map(float, origin))),
            dtype=values.dtype,
            store=store,
        )

    return made


def opened(region, grid, mask=None):
    """A region whose mask is the one given."""
    found = OpenRegion(region, grid, VOLUME_FRAME)
    found.__dict__["_mask"] = mask
    return found


def one_by_one(grid, mask, chosen, cells):
    """Whether the mask has a chosen value at the centre of each cell, which is looked up alone.

    None stands for what lies beyond its end.
    """
    held = {zyx(np.add(v, mask.box.start)): n for v, n in np.ndenumerate(mask.read(mask.box))}
    found = np.zeros(cells.shape, bool)
    for place in np.ndindex(cells.shape):
        seen = grid.voxels(Box.of_shape((1, 1, 1), zyx(np.add(place, cells.start))))
        centre = np.add(seen.start, seen.stop) / 2
        nm_zyx = centre * VOLUME_FRAME.voxel_size_nm + VOLUME_FRAME.origin_nm
        axes = zip(nm_zyx, mask.frame.origin_nm, mask.frame.voxel_size_nm, strict=True)
        voxel = zyx(math.floor((nm - origin) / size + 1e-9) for nm, origin, size in axes)
        found[place] = chosen(held.get(voxel))
    return found


@settings(max_examples=60, deadline=None)
@given(masks, grids, parts)
def test_a_mask_covers_the_cells_whose_centres_lie_on_it(mask_of, drawn, grid, part):
    mask, grid = mask_of(drawn), Grid(*grid)
    cells = Box.of_shape(part[1], part[0])
    region = opened(Region(EVERYWHERE, mask.source), grid, mask)

    found = region.covers(cells)

    on_grid = one_by_one(grid, mask, bool, cells)
    beyond = np.array([*np.ndindex(cells.shape)]) + cells.start >= grid.shape
    on_grid[beyond.any(axis=1).reshape(cells.shape)] = False
    np.testing.assert_array_equal(found, on_grid)


@settings(max_examples=60, deadline=None)
@given(masks, grids, segments)
def test_segments_cover_the_cells_whose_centres_lie_on_one_of_them(mask_of, drawn, grid, ids):
    mask, grid = mask_of(drawn), Grid(*grid)
    region = opened(Region(EVERYWHERE, mask.source, tuple(ids)), grid, mask)

    found = region.covers(grid.cells)

    chosen = ids.__contains__ if ids else bool
    np.testing.assert_array_equal(found, one_by_one(grid, mask, chosen, grid.cells))


@settings(max_examples=60, deadline=None)
@given(masks, grids, triples(-12, 30), triples(1, 30))
def test_a_box_takes_the_cells_whose_whole_field_of_view_lies_in_it(
    mask_of, drawn, grid, start, shape
):
    mask, grid, box = mask_of(drawn), Grid(*grid), Box.of_shape(shape, start)

    alone = opened(Region(box), grid).covers(grid.cells)
    masked = opened(Region(box, mask.source), grid, mask).covers(grid.cells)

    inside = [
        box.contains(grid.voxels(Box.of_shape((1, 1, 1), cell))) for cell in np.ndindex(grid.shape)
    ]
    np.testing.assert_array_equal(alone.ravel(), inside)
    np.testing.assert_array_equal(masked, alone & one_by_one(grid, mask, bool, grid.cells))


@settings(max_examples=60, deadline=None)
@given(masks, grids, parts, parts)
def test_the_union_of_regions_covers_what_one_of_them_covers(mask_of, drawn, grid, a, b):
    mask, grid = mask_of(drawn), Grid(*grid)
    first, second = (Box.of_shape(np.add(n, grid.fov).tolist(), grid.start) for n in (a[1], b[1]))
    regions = [opened(Region(first), grid), opened(Region(second, mask.source), grid, mask)]

    found = union(regions, grid.cells)

    expected = regions[0].covers(grid.cells) | regions[1].covers(grid.cells)
    np.testing.assert_array_equal(found, expected)


def test_large_ids_are_told_apart(tissue_volume, write_volume):
    labels = np.full((40, 48, 56), 2**63 + 1, np.uint64)
    labels[:20] = 2**63
    mask = write_volume(labels, name="labels.zarr")
    grid = Grid.covering(tissue_volume.box, (7, 7, 7), (2, 2, 2))

    found = OpenRegion(
        Region(tissue_volume.box, mask.source, (2**63,)), grid, tissue_volume.frame
    ).covers(grid.cells)

    centres = np.arange(grid.shape[0]) * 2 + 3.5
    np.testing.assert_array_equal(found.all(axis=(1, 2)), centres < 20)


def test_a_mask_of_no_integers_is_refused(tissue_volume, write_volume):
    mask = write_volume(np.ones((4, 4, 4), np.float32), name="mask.zarr")

    with pytest.raises(MismatchError, match="mask holds float32; a mask or seg.* holds integers"):
        require_mask(tissue_volume, mask)


def test_a_mask_of_booleans_will_do(tissue_volume, write_volume):
    require_mask(tissue_volume, write_volume(np.ones((4, 4, 4), bool), name="mask.zarr"))


@pytest.mark.parametrize("start", [(40, 0, 0), (0, 48, 0), (0, 0, 56), (-4, 0, 0), (99, 99, 99)])
def test_a_mask_that_only_touches_the_volume_or_lies_elsewhere_is_refused(
    tissue_volume, mask_of, start
):
    mask = mask_of(((4, 4, 4), start, (10.0, 10.0, 10.0), (0, 0, 0), 0))
    z, y, x = (10 * a for a in start)

    with pytest.raises(MismatchError, match="they have no place in common") as error:
        require_mask(tissue_volume, mask)

    assert f"covers ({x}, {y}, {z}) to ({x + 40}, {y + 40}, {z + 40}) nm (XYZ)" in str(error.value)
    assert "(0, 0, 0) to (560, 480, 400)" in str(error.value)
