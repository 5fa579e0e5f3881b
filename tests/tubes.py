"""A hand-made segmentation: three tubes along x, two of which touch, and a speck."""

import numpy as np

SHAPE = (40, 48, 96)
UPPER, LOWER, ALONE, SPECK = 7, 2**40 + 1, 300, 5
"""Ids: the first two share a face, the third is 120 nm from them, the last is 3 voxels wide."""


def tubes(dtype: type = np.uint64) -> np.ndarray:
    """Slabs of 12 voxels along y, over all of z and x."""
    labels = np.zeros(SHAPE, dtype)
    labels[:, :12], labels[:, 12:24], labels[:, 36:] = UPPER, LOWER, ALONE
    labels[18:21, 29:32, 40:43] = SPECK
    return labels


def positions() -> np.ndarray:
    """Voxels whose value is their own place: z + 100 y + 10000 x, and 1."""
    z, y, x = np.indices(SHAPE)
    return (z + 100 * y + 10000 * x + 1).astype(np.float64)


def place_of(value: float) -> tuple[int, int, int]:
    """The place, ZYX, of a voxel of `positions`."""
    code = int(value) - 1
    return code % 100, code // 100 % 100, code // 10000
