"""Tests of embed/training/symmetry.py: which symmetries a grid has, and that they can be undone."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from embed.training.symmetry import symmetry_table, turn, turn_back

# Compiled once for every symmetry of one shape.
turned, turned_back = jax.jit(turn), jax.jit(turn_back)


@functools.cache
def block(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def rows(voxel_size_nm, *same):
    return [tuple(row) for row in np.asarray(symmetry_table(voxel_size_nm, *same)).tolist()]


@pytest.mark.parametrize(
    ("voxel_size_nm", "count"),
    [
        ((10.0, 10.0, 10.0), 48),
        ((10.5, 10.0, 9.8), 48),
        ((45.0, 4.6, 4.6), 16),
        ((4.6, 45.0, 4.6), 16),
        ((40.0, 8.0, 4.0), 8),
    ],
)
def test_a_grid_has_the_symmetries_that_its_voxel_size_allows(voxel_size_nm, count):
    table = rows(voxel_size_nm)

    assert len(set(table)) == len(table) == count
    assert {row[3:] for row in table} == set(itertools.product((0, 1), repeat=3))


def test_only_axes_that_are_alike_in_everything_change_places():
    fov, stride, places = (13, 13, 13), (4, 4, 2), (3, 5, 5)

    assert len(rows((10.0, 10.0, 10.0), fov)) == 48
    assert {row[:3] for row in rows((10.0,) * 3, fov, stride)} == {(0, 1, 2), (1, 0, 2)}
    assert {row[:3] for row in rows((10.0,) * 3, fov, places)} == {(0, 1, 2), (0, 2, 1)}
    assert {row[:3] for row in rows((10.0,) * 3, stride, places)} == {(0, 1, 2)}


@pytest.mark.parametrize(
    ("shape", "voxel_size_nm"), [((4, 4, 4), (10.0,) * 3), ((3, 5, 5), (40.0, 4.0, 4.0))]
)
def test_a_turn_is_the_transpose_and_then_undone(shape, voxel_size_nm):
    grey, table = block(shape), symmetry_table(voxel_size_nm)
    seen = set()

    for symmetry in table:
        there = np.asarray(turned(grey, symmetry))
        order, flips = np.split(np.asarray(symmetry), 2)
        axes = tuple(np.flatnonzero(flips).tolist())
        np.testing.assert_array_equal(there, np.flip(grey, axes).transpose(order))
        np.testing.assert_array_equal(turned_back(jnp.asarray(there), symmetry), grey)
        seen.add(there.tobytes())

    assert len(seen) == len(table)


def test_channels_stay_in_their_place_under_a_turn():
    grid = block((4, 4, 4, 3))

    for symmetry in symmetry_table((10.0,) * 3)[::7]:
        there = np.asarray(turned(grid, symmetry))
        single = np.asarray(turned(grid[..., 1], symmetry))
        np.testing.assert_array_equal(there[..., 1], single)
        np.testing.assert_array_equal(turned_back(jnp.asarray(there), symmetry), grid)


def test_places_correspond_after_a_turn_is_undone_on_the_grid():
    """Means over windows of 3 voxels, 2 apart, stand for an encoder."""
    grey = block((9, 9, 9))

    def pooled(x):
        windows = np.lib.stride_tricks.sliding_window_view(np.asarray(x), (3, 3, 3))
        return windows[::2, ::2, ::2].mean(axis=(3, 4, 5))

    for symmetry in symmetry_table((10.0,) * 3):
        grid = jnp.asarray(pooled(turned(grey, symmetry)))

        back = turned_back(grid, symmetry)

        np.testing.assert_allclose(back, pooled(grey), atol=1e-6)


@pytest.mark.parametrize(
    "many", [jax.vmap, lambda f: lambda *args: jax.lax.map(lambda a: f(*a), args)]
)
def test_blocks_of_a_batch_are_turned_each_in_its_own_way(many):
    table = symmetry_table((10.0,) * 3)[::5]
    blocks = jnp.stack([block((4, 4, 4), seed) for seed in range(len(table))])

    there = jax.jit(many(turn))(blocks, table)
    back = jax.jit(many(turn_back))(there, table)

    for grey, found, symmetry in zip(blocks, there, table, strict=True):
        np.testing.assert_array_equal(found, turned(grey, symmetry))
    np.testing.assert_array_equal(back, blocks)


def test_the_gradient_of_a_turn_undone_is_the_turn():
    grid, weights = block((4, 4, 4, 3)), block((4, 4, 4, 3), seed=1)
    gradient = jax.jit(jax.grad(lambda g, s: (weights * turn_back(g, s)).sum()))

    for symmetry in symmetry_table((10.0,) * 3)[::7]:
        np.testing.assert_array_equal(gradient(grid, symmetry), turned(weights, symmetry))
