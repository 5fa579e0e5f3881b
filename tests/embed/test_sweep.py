"""Tests of embed/sweep.py: every shard once, and neighbours soon after each other."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from embed.geometry import Box, Grid, zyx
from embed.sweep import layer_width, swept

extents = st.tuples(*[st.integers(1, 6)] * 3)


def every(extent):
    return [zyx(cell) for cell in itertools.product(*map(range, extent))]


@given(extents, st.integers(1, 7), st.randoms(use_true_random=False))
def test_every_cell_comes_once_whatever_order_they_are_given_in(extent, width, random):
    cells = every(extent)
    shuffled = random.sample(cells, len(cells))

    order = swept(shuffled, width)

    assert sorted(order) == cells
    assert order == swept(cells, width)


@given(extents, st.integers(1, 7))
def test_a_neighbour_along_the_longest_axis_comes_within_two_layers(extent, width):
    order = {cell: place for place, cell in enumerate(swept(every(extent), width))}
    along = extent.index(max(extent))

    for cell in order:
        after = zyx(n + (axis == along) for axis, n in enumerate(cell))
        assert order.get(after, 0) - order[cell] <= width**2


@given(extents)
def test_where_a_layer_holds_all_of_two_axes_the_third_is_swept_once(extent):
    order = swept(every(extent), max(extent))

    along = extent.index(max(extent))
    layers = [cell[along] for cell in order]
    assert layers == sorted(layers)


def test_some_of_the_cells_keep_the_order_that_they_have_among_all():
    some = [(0, 0, 5), (3, 3, 0), (0, 3, 1), (2, 2, 2)]

    assert swept(some, 2) == [cell for cell in swept(every((4, 4, 6)), 2) if cell in some]
    assert swept([], 2) == []


@given(
    st.tuples(*[st.integers(1, 40)] * 3),
    st.integers(1, 50),
    st.integers(1, 20),
    st.integers(1, 10**7),
)
def test_a_layer_is_as_wide_as_its_voxels_allow(shard, fov, stride, layer):
    grid = Grid((0, 0, 0), (fov,) * 3, (stride,) * 3, (999, 999, 999))
    z, y, x = shard

    width = layer_width(grid, shard, layer)

    sizes = [grid.voxels(Box.of_shape((z, n * y, n * x))).size for n in (width, width + 1)]
    assert width == 1 or sizes[0] <= layer
    assert sizes[1] > layer


def test_with_the_usual_shards_and_cache_four_shards_are_beside_each_other():
    grid = Grid((0, 0, 0), (33, 33, 33), (8, 8, 8), (999, 999, 999))

    assert layer_width(grid, (32, 32, 32)) == 4
