"""Searches in plain loops over every location, which others are compared with."""

from collections import Counter
from pathlib import Path

import numpy as np
import tensorstore as ts

from embed.volume import Volume, open_volume
from serve.locations import shard_locations

SEGMENT_NM = (64, 64, 90)
"""Voxels of a segmentation, XYZ: coarser than those of the atlases."""


def everything(atlas):
    """Ids, unit vectors and positions (nm, XYZ) of all locations with data."""
    parts = [locations for _, locations in shard_locations(atlas)]
    ids = np.concatenate([part.ids for part in parts])
    return ids, np.concatenate([part.vectors for part in parts]), atlas.positions_nm_xyz(ids)


def rows_of(ids, result):
    """The rows of the hits of a search."""
    rows = {number: row for row, number in enumerate(ids.tolist())}
    return np.array([rows[hit.id] for hit in result.hits], int)


def greedy(
    ids, scores, positions, k, separation, *, allowed=None, excluded=(), segments=None, most=None
):
    """The ids that stay of the best: apart from each other, of each segment no more than `most`."""
    kept, places, of_segment = [], [np.asarray(place) for place in excluded], Counter()
    for row in np.lexsort((ids, -scores)):
        near = places and (
            np.linalg.norm(np.array(places) - positions[row], axis=1).min()
            < max(separation * (1 - 1e-9), 1e-6)
        )
        segment = 0 if segments is None else int(segments[row])
        full = most is not None and segment and of_segment[segment] >= most
        if near or full or (allowed is not None and not allowed[row]) or len(kept) == k:
            continue
        kept.append(row)
        places.append(positions[row])
        of_segment[segment] += 1
    return np.array(kept, int)


def segment_at(positions):
    """The segment of positions in nm, XYZ, in `write_segmentation`; 0 for some."""
    x, y, z = (np.asarray(positions) // np.array(SEGMENT_NM)).astype(int).T
    return np.where((x + y + z) % 5 == 0, 0, 1 + x // 3 + 10 * (y // 3) + 100 * (z // 4))


def write_segmentation(path: Path, shape_xyz=(12, 11, 10)) -> Volume:
    """A volume of segments, as `segment_at` tells them."""
    x, y, z = shape_xyz
    cells = np.stack(np.meshgrid(*map(np.arange, (z, y, x)), indexing="ij"), axis=-1)[..., ::-1]
    labels = segment_at((cells.reshape(-1, 3) + 0.5) * SEGMENT_NM).reshape(z, y, x)
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "metadata": {
            "shape": [z, y, x],
            "data_type": "uint32",
            "dimension_names": ["z", "y", "x"],
            "attributes": {"dimension_units": [f"{n} nm" for n in SEGMENT_NM[::-1]]},
        },
    }
    ts.open(spec, create=True).result().write(labels.astype(np.uint32)).result()
    return open_volume(path)
