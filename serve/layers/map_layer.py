"""A layer that is computed from the stored embeddings: a voxel for each location of a grid."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from embed.atlas import Atlas
from embed.errors import RequestError
from embed.geometry import Box, Frame, Zyx
from serve.layers.layer import Segment
from serve.layers.precomputed import Kind, Scale
from serve.layers.pyramid import Coarser, coarser_levels
from serve.locations import unit
from serve.maps import cell_frame

Compute = Callable[[Float32[np.ndarray, "n dim"]], Shaped[np.ndarray, " n"]]
"""Makes the voxels of locations of their embeddings, of length 1."""

# 32,768 locations: some 10 ms, so that a view fills in while it is looked at. Larger ones compute
# more that is not in the plane; smaller ones cost more to ask for than to compute.
_CHUNK: Zyx = (32, 32, 32)
# Coarser than every 64th location a map shows nothing.
_LEVELS = 6


class MapLayer:
    """A map of an atlas on a grid; where there are no data it is 0. Safe to use from many threads.

    A voxel is the cell around a location: as large as the step between locations, and centred on
    its own. A voxel of a coarser level shows the location in its middle (of two the later), so
    that a level costs what is seen of it.
    """

    def __init__(
        self,
        atlas: Atlas,
        compute: Compute,
        *,
        dtype: type[np.unsignedinteger],
        version: str,
        segments: tuple[Segment, ...] | None = None,
    ) -> None:
        """Describes a map; nothing is computed yet.

        Args:
            atlas: on a grid.
            compute: its voxels.
            dtype: of them.
            version: changes when they do.
            segments: the names that its numbers stand for; None for an image.

        Raises:
            RequestError: the atlas is of given places.
        """
        if atlas.info.points is not None:
            raise RequestError(
                f"atlas {atlas.name!r} is of given places, of which there is no map to be looked at"
            )
        self.dtype = np.dtype(dtype)
        self.version = version
        self.segments = segments or ()
        self.kind: Kind = "image" if segments is None else "segmentation"
        self._atlas, self._compute = atlas, compute

    @cached_property
    def scales(self) -> tuple[Scale, ...]:
        """See `Layer`."""
        step, corner = cell_frame(self._atlas)
        shape = self._atlas.grid.shape
        levels = [(shape, step), *((made.shape, made.voxel_size_nm) for made in self._coarser)]
        return tuple(
            Scale(str(level), size, Frame(edges, corner), _CHUNK)
            for level, (size, edges) in enumerate(levels)
        )

    def read(self, level: int, box: Box) -> Shaped[np.ndarray, "z y x"]:
        """See `Layer`."""
        vectors, has_data = unit(self._vectors(level, box))
        return _blanked(self._compute(vectors), has_data).astype(self.dtype).reshape(box.shape)

    @cached_property
    def _coarser(self) -> list[Coarser]:
        step, _ = cell_frame(self._atlas)
        return coarser_levels(self._atlas.grid.shape, step, _LEVELS)

    def _vectors(self, level: int, box: Box) -> Float32[np.ndarray, "n dim"]:
        if level == 0:
            return self._atlas.store.look_at(box).reshape(box.size, -1)
        factor = self._coarser[level - 1].factor
        axes = [
            np.minimum(np.arange(a, b) * step + step // 2, n - 1)
            for a, b, step, n in zip(
                box.start, box.stop, factor, self._atlas.grid.shape, strict=True
            )
        ]
        cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        return self._atlas.embeddings(self._atlas.grid.ids(cells))


def _blanked(
    values: Shaped[np.ndarray, " n"], has_data: Bool[np.ndarray, " n"]
) -> Shaped[np.ndarray, " n"]:
    return np.where(has_data, values, np.zeros((), values.dtype))
