"""Where there is nothing to embed: fields of view that are mostly missing."""

import numpy as np
from jaxtyping import Bool, Shaped

from embed.geometry import Grid, Zyx

VOID_SHARE = 0.5
"""A location whose field of view is at least half missing (0) would describe the hole, not tissue.
"""


def voids_on_grid(
    voxels: Shaped[np.ndarray, "vz vy vx"], grid: Grid, cells: Zyx
) -> Bool[np.ndarray, "z y x"]:
    """Which of the first cells of a grid see too little, by a summed-area table."""
    missing = voxels == 0
    if not missing.any():
        return np.zeros(cells, bool)
    table = np.pad(missing.astype(np.int32), ((1, 0),) * 3)
    for axis in range(3):
        table = np.cumsum(table, axis=axis, dtype=np.int32)
    for axis, (n, fov, step) in enumerate(zip(cells, grid.fov, grid.stride, strict=True)):
        starts = np.arange(n) * step
        table = np.take(table, starts + fov, axis=axis) - np.take(table, starts, axis=axis)
    return table >= VOID_SHARE * np.prod(grid.fov)
