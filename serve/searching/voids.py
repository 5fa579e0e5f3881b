"""Where the data are nearest to a location that has none."""

import numpy as np

from embed.atlas import Atlas
from embed.geometry import Box, Grid, zyx

# The last one reads 65^3 vectors: 70 MB at 64 dimensions, half a second.
_REACHES = (4, 16, 32)
# Of given places, which are read nearest first: as many at once, and as many in all.
_AT_ONCE, _MOST = 1024, 65**3


def nearest_with_data(atlas: Atlas, location: int) -> int | None:
    """Id of the location with data that is nearest (in nm) to a location.

    None where there is none within 32 of the shortest steps of the grid, or among the nearest
    quarter million of given places; of equally near ones the lowest id.
    """
    if isinstance(atlas.places, Grid):
        return _on_grid(atlas, atlas.places, location)
    return _among_places(atlas, location)


def _on_grid(atlas: Atlas, grid: Grid, location: int) -> int | None:
    step = np.multiply(grid.stride, atlas.frame.voxel_size_nm)
    cell = grid.cells_of(np.array([location]))[0]
    for steps in _REACHES:
        reach = steps * step.min()
        half = np.ceil(reach / step).astype(int)
        start, stop = np.maximum(cell - half, 0), np.minimum(cell + half + 1, grid.shape)
        box = Box(zyx(start.tolist()), zyx(stop.tolist()))
        cells = np.argwhere(atlas.store.read(box).any(axis=-1)) + box.start
        distances = np.linalg.norm((cells - cell) * step, axis=1)
        # Past the reach a nearer one may lie outside the box.
        if distances.size and distances.min() <= reach:
            return int(grid.ids(cells[[np.argmin(distances)]])[0])
    return None


def _among_places(atlas: Atlas, location: int) -> int | None:
    offsets = atlas.offsets_nm(np.arange(atlas.grid.size))
    apart = np.linalg.norm(offsets - offsets[location], axis=1)
    nearest = np.argsort(apart, kind="stable")[:_MOST]
    for first in range(0, len(nearest), _AT_ONCE):
        ids = nearest[first : first + _AT_ONCE]
        has_data = atlas.embeddings(ids).any(axis=1)
        if has_data.any():
            return int(ids[np.argmax(has_data)])
    return None
