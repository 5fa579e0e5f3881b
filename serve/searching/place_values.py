"""What a volume beside the data, such as a segmentation or a mask, holds where locations are."""

import numpy as np
from jaxtyping import Int, Shaped

from embed.atlas import Atlas
from embed.geometry import Box
from embed.volume import Volume


class PlaceValues:
    """The voxels of a volume, of any voxel size, at the centres of the locations of an atlas.

    Where the volume has no voxel it is 0. Safe to use from many threads.
    """

    def __init__(self, atlas: Atlas, volume: Volume) -> None:
        self._atlas, self._volume = atlas, volume

    def of(self, ids: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
        """The voxel of each location.

        Raises:
            DataError: the volume cannot be read.
        """
        box = self._volume.box
        voxels = self._voxels(ids)
        inside = ((voxels >= box.start) & (voxels < box.stop)).all(axis=1)
        found = np.zeros(len(ids), self._volume.dtype)
        found[inside] = self._volume.read_at(voxels[inside])
        return found

    def of_cells(self, cells: Box) -> Shaped[np.ndarray, "z y x"]:
        """The voxels of a box of cells of a grid, which are read at once.

        Raises:
            DataError: the volume cannot be read.
        """
        axes = []
        for axis in range(3):
            count = cells.shape[axis]
            corner = np.tile(cells.start, (count, 1))
            corner[:, axis] += np.arange(count)
            axes.append(self._voxels(self._atlas.grid.ids(corner))[:, axis])
        ends = zip(axes, self._volume.box.start, self._volume.box.stop, strict=True)
        inside = [np.flatnonzero((v >= low) & (v < high)) for v, low, high in ends]
        found = np.zeros(cells.shape, self._volume.dtype)
        if all(rows.size for rows in inside):
            z, y, x = (v[rows] for v, rows in zip(axes, inside, strict=True))
            found[np.ix_(*inside)] = self._volume.read_crossings(z, y, x)
        return found

    def _voxels(self, ids: Int[np.ndarray, " n"]) -> Int[np.ndarray, "n 3"]:
        """The voxels that hold the centres of locations."""
        centres = self._volume.frame.to_voxel(self._atlas.positions_nm_xyz(ids))
        return np.floor(centres + 1e-6).astype(np.int64)  # a border is the next voxel's, rounded
