"""Places anywhere in the tissue, and the embeddings of an atlas of them."""

import numpy as np

from embed.layout import Wanted
from embed.points import Points

SMALL = Wanted(shard=(1, 1, 64))
COUNT = 150
"""Places, in three shards of 64."""


def places_in(encoder, volume):
    """Places for an encoder in the tissue, with ids of segments that no float64 holds."""
    rng = np.random.default_rng(0)
    low, high = np.array(encoder.fov) / 2, np.array(volume.box.shape) - 3.5
    return Points.at(
        rng.uniform(low, high, (COUNT, 3)),
        fov=encoder.fov,
        voxel_size_nm=volume.frame.voxel_size_nm,
        segments=np.arange(COUNT, dtype=np.uint64) + np.uint64(2**63 + 1),
    )


def everything(atlas):
    return atlas.embeddings(np.arange(atlas.grid.size))
