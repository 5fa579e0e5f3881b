"""Where there is nothing to embed: fields of view that are mostly missing, or of one grey value."""

import numpy as np
from jaxtyping import Bool, Int, Shaped

from embed.geometry import Box, Grid, Zyx, zyx

VOID_SHARE = 0.5
"""A location whose field of view is at least half missing (0) would describe the hole, not tissue.
"""

# Constant fields are looked for among so many voxels per axis of each first, which costs next to
# nothing where there are none.
_LOOKED_AT = 4


def voids_on_grid(
    voxels: Shaped[np.ndarray, "vz vy vx"], grid: Grid, cells: Zyx
) -> Bool[np.ndarray, "z y x"]:
    """Which of the first cells of a grid see too little."""
    return _mostly_missing(voxels, grid, cells) | _constant(voxels, grid, cells)


def _mostly_missing(
    voxels: Shaped[np.ndarray, "vz vy vx"], grid: Grid, cells: Zyx
) -> Bool[np.ndarray, "z y x"]:
    if np.count_nonzero(voxels) == voxels.size:  # several times as fast as to compare
        return np.zeros(cells, bool)
    missing = voxels == 0
    starts = [np.arange(n) * step for n, step in zip(cells, grid.stride, strict=True)]
    stops = [a + fov for a, fov in zip(starts, grid.fov, strict=True)]
    return _counts(missing, starts, stops) >= VOID_SHARE * np.prod(grid.fov)


def _constant(
    voxels: Shaped[np.ndarray, "vz vy vx"], grid: Grid, cells: Zyx
) -> Bool[np.ndarray, "z y x"]:
    found = np.zeros(cells, bool)
    for cell in np.argwhere(_maybe_constant(voxels, grid, cells)):
        first = zyx(cell)
        seen = voxels[grid.voxels(Box.of_shape((1, 1, 1), first)).slices]
        found[first] = seen.min() == seen.max()
    return found


def _maybe_constant(
    voxels: Shaped[np.ndarray, "vz vy vx"], grid: Grid, cells: Zyx
) -> Bool[np.ndarray, "z y x"]:
    """Cells whose field of view is constant as far as some of its voxels tell."""
    z, y, x = steps = [max(1, fov // _LOOKED_AT) for fov in grid.fov]
    thin = voxels[::z, ::y, ::x]
    first = [np.arange(n) * s for n, s in zip(cells, grid.stride, strict=True)]
    starts = [-(-a // step) for a, step in zip(first, steps, strict=True)]
    ends = zip(first, grid.fov, steps, strict=True)
    stops = [(a + fov - 1) // step + 1 for a, fov, step in ends]
    maybe = np.ones(cells, bool)
    for axis in range(3):
        changes = np.diff(thin, axis=axis) != 0
        last = [b - (a == axis) for a, b in enumerate(stops)]
        maybe &= _counts(changes, starts, last) == 0
    return maybe


def _counts(
    true: Bool[np.ndarray, "vz vy vx"],
    starts: list[Int[np.ndarray, " _"]],
    stops: list[Int[np.ndarray, " _"]],
) -> Int[np.ndarray, "z y x"]:
    """How many are true in boxes, each of one range per axis, by a summed-area table."""
    table = np.pad(true.astype(np.int32), ((1, 0),) * 3)
    for axis in range(3):
        table = np.cumsum(table, axis=axis, dtype=np.int32)
    for axis, (a, b) in enumerate(zip(starts, stops, strict=True)):
        low, high = (np.minimum(end, true.shape[axis]) for end in (a, np.maximum(a, b)))
        table = np.take(table, high, axis=axis) - np.take(table, low, axis=axis)
    return table
