"""The voxels that a map is written in: the cells of its atlas, or those of the volume itself."""

from typing import Protocol

import numpy as np
from jaxtyping import Float32, Int, Shaped, UInt8

from embed.atlas import Atlas
from embed.geometry import Box, Frame, Zyx, zyx, zyx_float
from serve.maps import FULL, cell_frame
from serve.searching.class_maps import ReadMap

Levels = UInt8[np.ndarray, "z y x classes"]
"""Probabilities, 255 for 1; all 0 where there are no data."""


class MapGrid(Protocol):
    """Voxels that a map can be read in.

    Attributes:
        shape: voxels, ZYX.
        frame: their size, and the lower corner of the first.
    """

    shape: Zyx
    frame: Frame

    def read(self, box: Box) -> Levels:
        """Those of a box.

        Raises:
            DataError: the map cannot be read.
        """
        ...


class CellGrid:
    """A voxel for each location, as large as the step between them."""

    def __init__(self, atlas: Atlas, read: ReadMap) -> None:
        self.shape = atlas.grid.shape
        self.frame = Frame(*cell_frame(atlas))
        self._map = read

    def read(self, box: Box) -> Levels:
        """See `MapGrid`."""
        return _levels(self._map.of_cells(box))


class VoxelGrid:
    """The voxels of the volume, as far as the cells around locations reach.

    Between the centres of cells probabilities are interpolated linearly; beyond the outermost
    they stay the same. A voxel has data where the cell that it lies in has, and only cells with
    data count for it.
    """

    def __init__(self, atlas: Atlas, read: ReadMap) -> None:
        grid = atlas.grid
        self._map, self._cells = read, grid.cells
        self._stride = np.array(grid.stride)
        self._first = np.array(grid.start) + np.array(grid.fov) / 2
        low = self._first - self._stride / 2
        high = low + self._stride * grid.shape
        # Voxels whose centres lie in cells: of two cells that share a voxel's centre the later.
        start, stop = np.ceil(low - 0.5).astype(int), np.ceil(high - 0.5).astype(int)
        self._start = start
        self.shape = zyx(stop - start)
        size = np.array(atlas.frame.voxel_size_nm)
        corner = zyx_float(start * size + atlas.frame.origin_nm)
        self.frame = Frame(atlas.frame.voxel_size_nm, corner)

    def read(self, box: Box) -> Levels:
        """See `MapGrid`."""
        at = [
            self._positions(axis, a, b)
            for axis, (a, b) in enumerate(zip(box.start, box.stop, strict=True))
        ]
        low = zyx(int(np.floor(p[0])) for p in at)
        high = zyx(
            min(int(np.floor(p[-1])) + 2, n) for p, n in zip(at, self._cells.stop, strict=True)
        )
        cells = self._map.of_cells(Box(low, high))
        has_data = np.any(cells, axis=-1, keepdims=True)
        known = np.concatenate([cells, has_data], axis=-1, dtype=np.float32)
        at = [p - a for p, a in zip(at, low, strict=True)]
        for axis, positions in enumerate(at):
            known = _between(known, axis, positions)
        nearest = [np.floor(p + 0.5).astype(int) for p in at]
        inside = has_data[np.ix_(*nearest)]
        shares = known[..., :-1] / np.where(inside, known[..., -1:], 1)
        return _levels(shares * inside)

    def _positions(self, axis: int, start: int, stop: int) -> Float32[np.ndarray, " n"]:
        """Where the centres of voxels lie among those of cells."""
        centres = self._start[axis] + np.arange(start, stop) + 0.5
        cells = (centres - self._first[axis]) / self._stride[axis]
        return np.clip(cells, 0, self._cells.stop[axis] - 1).astype(np.float32)


def likeliest(
    probabilities: Shaped[np.ndarray, "z y x classes"], least: float = 0.0
) -> Int[np.ndarray, "z y x"]:
    """The likeliest class of each voxel, counted from 1; 0 where there are no data, or none is.

    Args:
        probabilities: in any unit; all 0 where there are no data.
        least: of a class that is one, in the same unit: where classes are decided each alone, it
            may be that none of them is there.
    """
    some = probabilities.max(axis=-1)
    return np.where((some > 0) & (some >= least), 1 + probabilities.argmax(axis=-1), 0)


def _between(
    values: Float32[np.ndarray, "z y x c"], axis: int, positions: Float32[np.ndarray, " n"]
) -> Float32[np.ndarray, "z y x c"]:
    """Values at positions between the entries along an axis."""
    low = np.floor(positions).astype(int)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    share = (positions - low).reshape([-1 if a == axis else 1 for a in range(4)])
    return values.take(low, axis) * (1 - share) + values.take(high, axis) * share


def _levels(probabilities: Float32[np.ndarray, "z y x c"]) -> Levels:
    return np.rint(FULL * probabilities).astype(np.uint8)
