"""Tests of embed/voids.py: what has nothing to show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed.geometry import Grid
from embed.voids import VOID_SHARE, voids_on_grid

edges = st.tuples(*[st.integers(1, 11)] * 3)


def brute(voxels, grid):
    windows = np.lib.stride_tricks.sliding_window_view(voxels, grid.fov)
    z, y, x = grid.stride
    fields = windows[::z, ::y, ::x].reshape(*grid.shape, -1)
    return ((fields == 0).mean(axis=-1) >= VOID_SHARE) | (fields.min(-1) == fields.max(-1))


@given(edges, st.tuples(*[st.integers(1, 9)] * 3), edges, st.integers(0, 2**32), st.data())
@settings(max_examples=80, deadline=None)
def test_voids_are_those_of_looking_at_every_field_of_view(fov, stride, more, seed, data):
    rng = np.random.default_rng(seed)
    shape = tuple(f + n for f, n in zip(fov, more, strict=True))
    grid = Grid(
        (0, 0, 0), fov, stride, tuple(n // s + 1 for n, s in zip(more, stride, strict=True))
    )
    voxels = rng.integers(1, 5, shape).astype(np.uint8)
    # Boxes of one grey value, or of nothing, of any size at any place.
    for value in data.draw(st.lists(st.sampled_from([0, 7, 200]), max_size=4)):
        ends = np.sort(rng.integers(0, np.add(shape, 1), (2, 3)), axis=0)
        voxels[tuple(map(slice, *ends))] = value

    found = voids_on_grid(voxels, grid, grid.shape)

    np.testing.assert_array_equal(found, brute(voxels, grid))


@pytest.mark.parametrize("value", [0, 1, 255])
def test_where_all_is_one_value_all_is_void(value):
    grid = Grid((0, 0, 0), (33, 33, 33), (8, 8, 8), (3, 4, 5))

    found = voids_on_grid(np.full((49, 57, 65), value, np.uint8), grid, grid.shape)

    assert found.all()
