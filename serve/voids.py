"""Where the data are nearest to a location that has none."""

import numpy as np

from embed.atlas import Atlas
from embed.geometry import Box, zyx

# The last one reads 65^3 vectors: 70 MB at 64 dimensions, half a second.
_REACHES = (4, 16, 32)


def nearest_with_data(atlas: Atlas, location: int) -> int | None:
    """Id of the location with data that is nearest (in nm) to a location.

    None where there is none within 32 of the shortest steps of the grid; of equally near ones the
    lowest id.
    """
    step = np.multiply(atlas.grid.stride, atlas.frame.voxel_size_nm)
    cell = atlas.grid.cells_of(np.array([location]))[0]
    for steps in _REACHES:
        reach = steps * step.min()
        half = np.ceil(reach / step).astype(int)
        start, stop = np.maximum(cell - half, 0), np.minimum(cell + half + 1, atlas.grid.shape)
        box = Box(zyx(start.tolist()), zyx(stop.tolist()))
        cells = np.argwhere(atlas.store.read(box).any(axis=-1)) + box.start
        distances = np.linalg.norm((cells - cell) * step, axis=1)
        # Past the reach a nearer one may lie outside the box.
        if distances.size and distances.min() <= reach:
            return int(atlas.grid.ids(cells[[np.argmin(distances)]])[0])
    return None
