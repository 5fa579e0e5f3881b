"""Blocks resampled to another number of voxels, axis by axis."""

import functools

import numpy as np
from jaxtyping import Float32

from embed.geometry import Zyx


def resampled(
    block: Float32[np.ndarray, "z y x"], shape: Zyx
) -> Float32[np.ndarray, "new_z new_y new_x"]:
    """The block at another resolution, edge to edge; as it is where the shape is the same.

    Where voxels become fewer, each is the mean of what it covers; where they become more, values
    between voxel centres are interpolated linearly.

    Args:
        block: grey values.
        shape: voxels of the result, ZYX.
    """
    z, y, x = (_weights(old, new) for old, new in zip(block.shape, shape, strict=True))
    if z is not None and len(z) < z.shape[1]:  # first what makes the rest less work
        block, z = np.tensordot(z, block, axes=1), None
    if y is not None:
        block = y @ block
    if x is not None:
        block = block @ x.T
    return block if z is None else np.tensordot(z, block, axes=1)


@functools.lru_cache(maxsize=256)
def _weights(old: int, new: int) -> Float32[np.ndarray, "new old"] | None:
    """How much each old voxel counts for each new one; None where there is nothing to do."""
    if old == new:
        return None
    return (_means(old, new) if new < old else _between(old, new)).astype(np.float32)


def _means(old: int, new: int) -> np.ndarray:
    """Shares of the old voxels in the stretch that each new one covers."""
    starts = np.arange(new)[:, None] * old / new
    voxels = np.arange(old)
    covered = np.minimum(starts + old / new, voxels + 1) - np.maximum(starts, voxels)
    return np.maximum(covered, 0) * new / old


def _between(old: int, new: int) -> np.ndarray:
    """Shares of the two old voxels whose centres lie around each new one's."""
    at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    distance = np.abs(at[:, None] - np.arange(old))
    return np.maximum(1 - distance, 0)
