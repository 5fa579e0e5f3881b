"""Tests of embed/augment.py: symmetries that can be undone, and grey values that stay sane."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from embed.augment import AugmentConfig, change_grey, symmetry_table, turn, turn_back
from embed.errors import ConfigError

OFF = AugmentConfig(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
FULL = AugmentConfig(section_jitter=0.3)

# Compiled once for every symmetry of one shape.
turned, turned_back = jax.jit(turn), jax.jit(turn_back)
changed = jax.jit(change_grey, static_argnames="config")


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


def test_strengths_of_zero_change_nothing():
    grey = block((5, 6, 7))

    np.testing.assert_array_equal(changed(jax.random.key(0), grey, OFF), grey)


@pytest.mark.parametrize(
    "strength",
    [
        {"contrast": 0.3},
        {"brightness": 0.5},
        {"curve": 0.9},
        {"blur": 1.0},
        {"noise": 0.5},
        {"section_jitter": 0.5},
    ],
)
def test_every_strength_does_something_alone(strength):
    config = AugmentConfig(**{**vars(OFF), **strength})
    grey = block((5, 6, 7))

    views = [np.asarray(changed(jax.random.key(seed), grey, config)) for seed in range(8)]

    assert any(not np.array_equal(view, grey) for view in views)


def test_a_change_is_a_function_of_its_key():
    grey = block((5, 6, 7))

    first, again, other = (
        np.asarray(changed(jax.random.key(seed), grey, FULL)) for seed in (3, 3, 4)
    )

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_blocks_of_a_batch_are_changed_independently_and_as_they_would_be_alone():
    grey, keys = block((5, 6, 7)), jax.random.split(jax.random.key(0), 3)
    many = jax.jit(jax.vmap(lambda k, b: change_grey(k, b, FULL)))

    views = np.asarray(many(keys, jnp.stack([grey] * 3)))

    alone = np.asarray(changed(keys[2], grey, FULL))
    np.testing.assert_allclose(views[2], alone, atol=1e-5)
    assert not np.allclose(views[0], views[1], atol=1e-2)


def test_no_value_becomes_nan_or_leaves_what_the_strengths_allow():
    extreme = jnp.asarray(np.full((5, 6, 7), 5, np.float32) * [[[1, -1, 0, 1, -1, 0, 1]]])
    extreme = extreme.astype(jnp.float32)

    for seed in range(20):
        view = np.asarray(changed(jax.random.key(seed), extreme, FULL))
        assert np.isfinite(view).all()
        assert np.abs(view).max() < 12


def test_smoothing_keeps_sections_apart():
    config = AugmentConfig(**{**vars(OFF), "blur": 1.0})
    grey = np.zeros((3, 5, 5), np.float32)
    grey[1, 2, 2] = 16

    view = np.asarray(changed(jax.random.key(0), jnp.asarray(grey), config))

    assert not view[[0, 2]].any()
    np.testing.assert_allclose(view[1, 1:4, 1:4], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])


def test_an_offset_of_sections_is_the_same_within_a_section():
    config = AugmentConfig(**{**vars(OFF), "section_jitter": 0.5})

    view = np.asarray(changed(jax.random.key(0), jnp.zeros((4, 5, 5)), config))

    assert len(np.unique(view)) == 4
    assert (view == view[:, :1, :1]).all()


@pytest.mark.parametrize("bad", [{"contrast": 1.0}, {"noise": -0.1}, {"blur": 1.1}])
def test_strengths_out_of_range_are_refused_with_the_rule(bad):
    with pytest.raises(ConfigError, match="strengths are >= 0, contrast < 1 and blur <= 1"):
        AugmentConfig(**bad)
