"""Parts of the tissue, and which cells of an atlas they cover; shards are of 8 cells an edge."""

import numpy as np

from embed.geometry import Box

BOX = Box((0, 0, 0), (21, 21, 37))
"""Holds 8 x 8 x 16 cells, which are two whole shards."""

OVERLAPPING = Box((0, 0, 18), (21, 21, 53))
"""Begins inside the second of these shards and ends inside the third: cells 9 to 23."""


def write_bodies(write_volume):
    """A mask of twice the voxel size with two bodies, 1 and 2, in the lower and the upper third."""
    labels = np.zeros((20, 24, 28), np.uint16)
    labels[:6, 2:9, 2:9] = 1
    labels[15:] = 2
    return write_volume(labels, (20.0, 20.0, 20.0), name="bodies.zarr")


def covered_by(atlas, mask, ids):
    """Which cells have their centre on one of the ids, by looking up every one."""
    cells = atlas.grid.cells_of(np.arange(atlas.grid.size))
    voxels = np.floor(atlas.grid.centres(cells) / 2).astype(int)
    labels = mask.read(mask.box)[tuple(voxels.T)]
    return np.isin(labels, ids).reshape(atlas.grid.shape)


def stored(atlas):
    return atlas.store.read_stored(atlas.store.cells)
