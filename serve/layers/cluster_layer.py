"""A layer of the clusters of a map: that of each location, by its neighbours on the map."""

import numpy as np
from jaxtyping import Float32, UInt32

from embed.atlas import Atlas
from embed.storage import digest
from serve.clusters.clusters import Clusters
from serve.clusters.picture import COLOURS
from serve.layers.layer import Segment
from serve.layers.map_layer import MapLayer


def cluster_layer(atlas: Atlas, clusters: Clusters) -> MapLayer:
    """The cluster of each location, counted from 1; 0 is none.

    Raises:
        VoxkinError: as `serve.clusters.projection.load_projection`.
    """
    placer = clusters.placer

    def compute(vectors: Float32[np.ndarray, "n dim"]) -> UInt32[np.ndarray, " n"]:
        return (1 + placer.place(vectors)[1]).astype(np.uint32)

    segments = tuple(
        Segment(one.number + 1, one.name, COLOURS[one.number % len(COLOURS)])
        for one in clusters.listed()
    )
    # Its names are a part of it, as readers ask for them but once.
    version = digest(repr((atlas.info.fingerprint, clusters.version, segments)).encode())[:12]
    return MapLayer(atlas, compute, dtype=np.uint32, version=version, segments=segments)
