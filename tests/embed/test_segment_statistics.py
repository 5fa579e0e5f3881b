"""Tests of embed/segment_statistics.py against loops over voxels, and what its numbers mean."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from embed.segment_statistics import EXPECTED, EXPECTED_PAIRS, SegmentStatistics

FOV, STRIDE, CELLS = (9, 8, 11), (4, 3, 2), (2, 3, 2)
SHAPE = tuple(f + (c - 1) * s for f, c, s in zip(FOV, CELLS, STRIDE, strict=True))
CUBIC = SegmentStatistics((10.0, 10.0, 10.0), FOV, STRIDE)
THICK = SegmentStatistics((45.0, 12.0, 20.0), FOV, STRIDE)


@pytest.fixture(scope="module")
def block():
    """Noise in a segment that covers a third of it, and 0 around that."""
    rng = np.random.default_rng(0)
    covered = rng.random((1, *SHAPE)) < 1 / 3
    return (rng.normal(0.5, 1, (1, *SHAPE)) * covered).astype(np.float32)


def of(statistics, blocks):
    return np.asarray(jax.jit(statistics.__call__)(jnp.asarray(blocks, jnp.float32)))


def in_a_loop(view, lags):
    """Both statistics of one field of view."""
    inside = view[view != 0].astype(np.float64)
    squares = []
    for axis, lag in lags.items():
        for at in itertools.product(*map(range, view.shape)):
            there = tuple(n + lag * (a == axis) for a, n in enumerate(at))
            if there[axis] < view.shape[axis] and view[at] and view[there]:
                squares.append(float(view[at] - view[there]) ** 2)
    expected = EXPECTED * EXPECTED_PAIRS
    half = (np.sum(squares) / 2 + expected) / (len(squares) + EXPECTED_PAIRS)
    return [inside.mean(), np.log(half)]


@pytest.mark.parametrize(
    ("statistics", "lags"),
    [(CUBIC, {0: 6, 1: 6, 2: 6}), (THICK, {1: 5, 2: 3})],
    ids=["cubic", "thick"],
)
def test_every_field_of_view_has_the_statistics_of_its_voxels(block, statistics, lags):
    found = of(statistics, block)

    assert statistics.lags == lags
    assert found.shape == (1, *CELLS, 2)
    for cell in itertools.product(*map(range, CELLS)):
        seen = tuple(slice(c * s, c * s + f) for c, s, f in zip(cell, STRIDE, FOV, strict=True))
        np.testing.assert_allclose(found[0][cell], in_a_loop(block[0][seen], lags), rtol=1e-4)


def test_a_pair_is_no_longer_than_the_field_of_view():
    flat = SegmentStatistics((10.0, 10.0, 10.0), (3, 7, 9), (1, 1, 1))

    assert flat.lags == {1: 6, 2: 6}


def test_a_field_of_view_too_small_for_pairs_is_as_rough_as_expected():
    small = SegmentStatistics((10.0, 10.0, 10.0), (3, 3, 3), (1, 1, 1))

    found = of(small, np.ones((2, 4, 4, 4)))

    assert small.lags == {}
    np.testing.assert_allclose(found[..., 0], np.ones((2, 2, 2, 2)))
    np.testing.assert_allclose(found[..., 1], np.log(EXPECTED), rtol=1e-6)


def test_they_are_the_same_whichever_way_a_block_lies():
    cube = np.random.default_rng(1).normal(size=(1, 9, 9, 9)).astype(np.float32)
    cube[:, 2:5] = 0
    statistics = SegmentStatistics((10.0, 10.0, 10.0), (9, 9, 9), (1, 1, 1))

    turned = cube.transpose(0, 3, 1, 2)[:, :, ::-1]

    np.testing.assert_allclose(of(statistics, turned), of(statistics, cube), rtol=1e-5)


def test_what_lies_around_the_segment_counts_nothing(block):
    rougher = block.copy()
    rougher[0, :, :4] = 0

    here = tuple(slice(0, n) for n in FOV)
    alone = block[0][here].copy()
    alone[:, :4] = 0

    np.testing.assert_allclose(of(CUBIC, rougher)[0, 0, 0, 0], in_a_loop(alone, CUBIC.lags), 1e-4)


def test_a_brighter_segment_is_brighter_and_a_rougher_one_rougher(block):
    mean, roughness = of(CUBIC, block)[0, 0, 0, 0]

    brighter = np.where(block, block + 1, 0)
    rougher = np.where(block, block.mean() + 2 * (block - block.mean()), 0)

    np.testing.assert_allclose(of(CUBIC, brighter)[0, 0, 0, 0], [mean + 1, roughness], rtol=1e-4)
    np.testing.assert_allclose(of(CUBIC, rougher)[0, 0, 0, 0, 1], roughness + np.log(4), atol=0.05)


@pytest.mark.parametrize("voxels", [0, 1, 20])
def test_a_segment_without_a_pair_is_as_rough_as_expected(voxels):
    block = np.zeros((1, *SHAPE), np.float32)
    block.reshape(-1)[:voxels] = 0.3

    mean, roughness = of(CUBIC, block)[0, 0, 0, 0]

    np.testing.assert_allclose(mean, 0.3 if voxels else 0, rtol=1e-6)
    assert np.isfinite(roughness)
    if voxels < 2:
        np.testing.assert_allclose(roughness, np.log(EXPECTED), rtol=1e-6)
