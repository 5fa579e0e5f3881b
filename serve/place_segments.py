"""Which segment each location of an atlas lies in."""

import numpy as np
from jaxtyping import Int, UInt64

from embed.atlas import Atlas
from embed.errors import DataError
from embed.geometry import Box
from embed.points import Points
from embed.volume import Volume


class PlaceSegments:
    """Segments of given places as they were given, of others by a segmentation volume.

    Of a volume the voxel at the centre of the field of view decides; where it has none, the
    location lies in no segment. Safe to use from many threads.
    """

    def __init__(self, atlas: Atlas, segmentation: Volume | None = None) -> None:
        if segmentation is not None and segmentation.dtype.kind not in "iu":
            raise DataError(
                f"{segmentation.name!r} holds {segmentation.dtype}; a segmentation holds whole "
                "numbers, the ids of segments"
            )
        self._atlas, self._volume = atlas, segmentation

    @property
    def by_volume(self) -> bool:
        """Whether a segmentation tells them, and not the places themselves."""
        return self._volume is not None and self._given is None

    def require(self) -> None:
        """Checks that there is anything to know segments from.

        Raises:
            DataError: there is nothing.
        """
        if self._given is None:
            self._require()

    def of(self, ids: Int[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
        """The segment of each location; 0 is none.

        Raises:
            DataError: there is nothing to know it from, or the volume cannot be read.
        """
        given = self._given
        if given is not None:
            return given[ids]
        volume = self._require()
        voxels = self._voxels(volume, ids)
        inside = ((voxels >= volume.box.start) & (voxels < volume.box.stop)).all(axis=1)
        found = np.zeros(len(ids), np.uint64)
        found[inside] = volume.read_at(voxels[inside])
        return found

    def of_cells(self, cells: Box) -> UInt64[np.ndarray, "z y x"]:
        """The segments of a box of cells of a grid, which are read at once; 0 is none.

        Raises:
            DataError: see `of`.
        """
        volume = self._require()
        axes = []
        for axis in range(3):
            count = cells.shape[axis]
            corner = np.tile(cells.start, (count, 1))
            corner[:, axis] += np.arange(count)
            axes.append(self._voxels(volume, self._atlas.grid.ids(corner))[:, axis])
        ends = zip(axes, volume.box.start, volume.box.stop, strict=True)
        inside = [np.flatnonzero((v >= low) & (v < high)) for v, low, high in ends]
        found = np.zeros(cells.shape, np.uint64)
        if all(rows.size for rows in inside):
            z, y, x = (v[rows] for v, rows in zip(axes, inside, strict=True))
            found[np.ix_(*inside)] = volume.read_crossings(z, y, x)
        return found

    @property
    def _given(self) -> UInt64[np.ndarray, " n"] | None:
        places = self._atlas.places
        if isinstance(places, Points) and places.segments.any():
            return places.segments
        return None

    def _require(self) -> Volume:
        if self._volume is None:
            raise DataError(
                f"the segments of the locations of atlas {self._atlas.name!r} are not known: give "
                "a segmentation of its volume with --segmentation"
            )
        return self._volume

    def _voxels(self, volume: Volume, ids: Int[np.ndarray, " n"]) -> Int[np.ndarray, "n 3"]:
        """The voxels of the segmentation that hold the centres of locations."""
        centres = volume.frame.to_voxel(self._atlas.positions_nm_xyz(ids))
        return np.floor(centres + 1e-6).astype(np.int64)  # a border is the next voxel's, rounded
