"""An index of every second location: one stands for the cube of 2 x 2 x 2 that it lies in.

It takes an eighth of the memory. At query time each location that is found is joined by its 26
neighbours, and all are compared exactly, so that no location is out of reach.
"""

import functools
import itertools

import numpy as np
from jaxtyping import Bool, Int, UInt8

from embed.errors import ConfigError
from embed.geometry import Grid

EVERY = (1, 2)

_STEPS = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
_STEPS = _STEPS[np.argsort(np.abs(_STEPS).sum(axis=1), kind="stable")]  # itself first


def checked_every(every: int, *, on_grid: bool) -> int:
    """The spacing, if an index can have it.

    Raises:
        ConfigError: it is not 1 or 2, or there is no grid.
    """
    if every not in EVERY:
        raise ConfigError(f"--every is 1 (all locations) or 2 (every second); got {every}")
    if every > 1 and not on_grid:
        raise ConfigError("--every 2 is for a grid of locations; given places have no neighbours")
    return every


def representatives(grid: Grid, ids: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """The first location of each cube of 2 x 2 x 2: of some that fill whole cubes, as shards do."""
    shape = np.array([-(-n // 2) for n in grid.shape])
    z, y, x = (grid.cells_of(ids) // 2).T
    cubes = (z * shape[1] + y) * shape[2] + x
    chosen = np.zeros(len(ids), bool)
    chosen[np.unique(cubes, return_index=True)[1]] = True
    return chosen


def around(grid: Grid, ids: Int[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape 27"]:
    """Each location and its neighbours; -1 beyond the border, and where the id is -1."""
    known = np.maximum(ids, 0)
    cells = grid.cells_of(known.reshape(-1))[:, None] + _STEPS
    inside = ((cells >= 0) & (cells < grid.shape)).all(axis=-1)
    found = np.where(inside, grid.ids(cells.reshape(-1, 3)).reshape(inside.shape), -1)
    return np.where(ids[..., None] < 0, -1, found.reshape(*ids.shape, len(_STEPS)))


def expanded(grid: Grid, ids: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """Locations and their neighbours, each once."""
    found = np.unique(around(grid, ids))
    return found[found >= 0]


@functools.lru_cache(4)
def _grown(grid: Grid, bits: bytes) -> UInt8[np.ndarray, " bytes"]:
    packed = np.frombuffer(bits, np.uint8)
    mask = np.unpackbits(packed, count=grid.size, bitorder="little").reshape(grid.shape)
    for axis in range(3):
        mask = np.moveaxis(mask, axis, 0)
        near = mask.copy()
        near[1:] |= mask[:-1]
        near[:-1] |= mask[1:]
        mask = np.moveaxis(near, 0, axis)
    return np.packbits(mask.reshape(-1), bitorder="little")


def grown(grid: Grid, bits: UInt8[np.ndarray, " bytes"]) -> UInt8[np.ndarray, " bytes"]:
    """The bits of locations that have a neighbour among those of some bits, or are among them.

    It takes some nanoseconds a location; the latest ones are kept.
    """
    return _grown(grid, bits.tobytes())
