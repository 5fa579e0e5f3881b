"""Tests of embed/training/zoom.py against scipy and plain means."""

import numpy as np
import pytest
from scipy import ndimage

from embed.training.zoom import resampled

BLOCK = np.random.default_rng(0).normal(size=(5, 12, 9)).astype(np.float32)


@pytest.mark.parametrize("shape", [(5, 12, 9), (5, 15, 11), (10, 24, 18), (7, 12, 10)])
def test_more_voxels_are_interpolated_between_centres(shape):
    axes = [(np.arange(n) + 0.5) * m / n - 0.5 for n, m in zip(shape, BLOCK.shape, strict=True)]
    expected = ndimage.map_coordinates(
        BLOCK, np.meshgrid(*axes, indexing="ij"), order=1, mode="nearest"
    )

    np.testing.assert_allclose(resampled(BLOCK, shape), expected, atol=1e-5)


def test_fewer_voxels_are_the_means_of_what_they_cover():
    halved = resampled(BLOCK, (5, 6, 3))

    expected = BLOCK.reshape(5, 6, 2, 3, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(halved, expected, atol=1e-6)


def test_a_mean_over_one_and_a_half_voxels_takes_half_of_the_second():
    row = np.array([1, 2, 4], np.float32).reshape(1, 1, 3)

    np.testing.assert_allclose(resampled(row, (1, 1, 2))[0, 0], [4 / 3, 10 / 3], atol=1e-6)


def test_some_axes_may_grow_while_others_shrink():
    found = resampled(BLOCK, (2, 20, 9))

    step = resampled(resampled(BLOCK, (2, 12, 9)), (2, 20, 9))
    np.testing.assert_allclose(found, step, atol=1e-5)
    assert found.dtype == np.float32


def test_a_block_of_the_same_shape_is_left_as_it_is():
    np.testing.assert_array_equal(resampled(BLOCK, (5, 12, 9)), BLOCK)


@pytest.mark.parametrize("shape", [(4, 3, 6), (9, 20, 30), (1, 1, 1)])
def test_what_is_constant_stays_so(shape):
    flat = np.full((4, 4, 4), 2.5, np.float32)

    np.testing.assert_allclose(resampled(flat, shape), 2.5, atol=1e-5)
