"""Which segment each location of an atlas lies in."""

import numpy as np
from jaxtyping import Int, UInt64

from embed.atlas import Atlas
from embed.errors import DataError
from embed.geometry import Box
from embed.points import Points
from embed.volume import Volume
from serve.searching.place_values import PlaceValues


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
        self._atlas = atlas
        self._values = None if segmentation is None else PlaceValues(atlas, segmentation)

    @property
    def by_volume(self) -> bool:
        """Whether a segmentation tells them, and not the places themselves."""
        return self._values is not None and self._given is None

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
        return self._require().of(ids).astype(np.uint64) if given is None else given[ids]

    def of_cells(self, cells: Box) -> UInt64[np.ndarray, "z y x"]:
        """The segments of a box of cells of a grid, which are read at once; 0 is none.

        Raises:
            DataError: see `of`.
        """
        return self._require().of_cells(cells).astype(np.uint64)

    @property
    def _given(self) -> UInt64[np.ndarray, " n"] | None:
        places = self._atlas.places
        if isinstance(places, Points) and places.segments.any():
            return places.segments
        return None

    def _require(self) -> PlaceValues:
        if self._values is None:
            raise DataError(
                f"the segments of the locations of atlas {self._atlas.name!r} are not known: give "
                "a segmentation of its volume with --segmentation"
            )
        return self._values
